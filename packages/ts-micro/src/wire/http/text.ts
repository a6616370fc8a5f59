const sendable = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$|^$/;
// oxlint-disable-next-line no-control-regex
const control = /[\0-\x1f\x7f]/g;

/** Text as the value of a header: UTF-8 bytes as Go writes and reads them, control characters as spaces, none at the ends. */
export function headerText(value: string): string {
  if (sendable.test(value)) return value;
  return Buffer.from(value.replace(control, " ").trim()).toString("latin1");
}
