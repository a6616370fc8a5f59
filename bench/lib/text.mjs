const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -";

/** ASCII text, the same in each process, flat in memory. */
export function randomText(length) {
  const bytes = Buffer.alloc(length);
  let seed = 12_345;
  for (let i = 0; i < length; i++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    bytes[i] = letters.charCodeAt((seed >> 8) & 63);
  }
  return bytes.toString("latin1");
}
