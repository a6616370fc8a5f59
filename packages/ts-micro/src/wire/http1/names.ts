/** 1 for the characters of a token (RFC 9110 §5.6.2), what a method or header name may consist of. */
const token = new Uint8Array(128);
for (const c of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  token[c.charCodeAt(0)] = 1;

export function isTokenByte(code: number): boolean {
  return code < 128 && token[code] === 1;
}

/**
 * The canonical MIME form of a header name as Go's textproto makes it (`micro-id` → `Micro-Id`), or `undefined` if it is no token.
 * Without a cache on purpose: names come from the peer, and a cached slice keeps the whole head that it was cut from.
 */
export function canonicalHeader(name: string): string | undefined {
  let upper = true;
  let canonical = true;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c >= 128 || token[c] === 0) return undefined;
    if (upper ? c >= 97 && c <= 122 : c >= 65 && c <= 90) canonical = false;
    upper = c === 45;
  }
  if (canonical) return name === "" ? undefined : name;
  let out = "";
  upper = true;
  for (const c of name) {
    out += upper ? c.toUpperCase() : c.toLowerCase();
    upper = c === "-";
  }
  return out;
}
