const http2 = Buffer.from("PRI * HTTP/2.0");

/** Whether these are the first bytes of HTTP/1.1: a method's letter, and not the preface of HTTP/2. Undefined: more are needed. */
export function isHttp1(prefix: Buffer): boolean | undefined {
  const first = prefix[0];
  if (first === undefined) return undefined;
  if (first < 0x41 || first > 0x5a) return false;
  const n = Math.min(prefix.length, http2.length);
  if (prefix.compare(http2, 0, n, 0, n) !== 0) return true;
  return n < http2.length ? undefined : false;
}
