/** The frames of a body: flags and text. Fails the test for a body that ends inside of one. */
export function framesOf(body: Buffer): [flags: number, text: string][] {
  const out: [number, string][] = [];
  for (let at = 0; at < body.length;) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) throw new Error("the body ends inside of a frame");
    out.push([body[at] as number, body.subarray(at + 5, end).toString()]);
    at = end;
  }
  return out;
}
