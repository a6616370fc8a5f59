/**
 * Header fields as a flat list `[name, value, name, value, …]`: no key can collide with a property of an object, and a list of ten costs one
 * array. A parsed list has canonical names, each at most once, in the order of the wire.
 */
export type HeaderList = readonly string[];

/** The value of `name` (canonical form), or `undefined`. The first one wins, as in Go. */
export function headerValue(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}

/** The list as a record without prototype; the first of repeated names wins. */
export function headerRecord(headers: HeaderList): Record<string, string> {
  const out = Object.create(null) as Record<string, string>;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    if (out[name] === undefined) out[name] = headers[i + 1] as string;
  }
  return out;
}

/** A flat list of the own entries of a record, or of pairs. */
export function headerList(headers: Readonly<Record<string, string>> | Iterable<readonly [string, string]>): string[] {
  const out: string[] = [];
  const pairs = Symbol.iterator in headers ? headers : Object.entries(headers);
  for (const [name, value] of pairs) out.push(name, value);
  return out;
}
