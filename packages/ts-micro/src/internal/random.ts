/** Drawn already, and not used. */
let pool: Buffer = Buffer.alloc(0);

/** `size` unpredictable bytes, from the system itself where it has a file for them: `node:crypto` costs each process 2 MiB and some milliseconds. */
export function randomBytes(size: number): Buffer {
  if (pool.length < size) pool = draw(size + 256);
  const bytes = pool.subarray(0, size);
  pool = pool.subarray(size);
  return bytes;
}

/** Of version 4. */
export function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function draw(size: number): Buffer {
  try {
    const { openSync, readSync, closeSync } = process.getBuiltinModule("node:fs");
    const file = openSync("/dev/urandom", "r");
    try {
      const bytes = Buffer.alloc(size);
      if (readSync(file, bytes) === size) return bytes;
    } finally {
      closeSync(file);
    }
  } catch {
    // Windows, and containers without devices.
  }
  return process.getBuiltinModule("node:crypto").randomBytes(size);
}
