const none: Buffer = Buffer.alloc(0);

/** Bytes that arrive in pieces, kept in one buffer that doubles: linear in time, and at most twice what has really arrived in memory. */
export class Gathered {
  #buffer: Buffer = none;
  length = 0;

  /** `total`: how many bytes there will be in all, where that is known; only saves memory. */
  append(chunk: Buffer, from: number, to: number, total: number = Number.POSITIVE_INFINITY): void {
    const need = this.length + to - from;
    if (need > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.min(total, this.length === 0 ? need : Math.max(256, 2 * need)));
      this.#buffer.copy(grown, 0, 0, this.length);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.length, from, to);
    this.length = need;
  }

  /** Begins with `bytes`, which are not copied until more come. Only when empty. */
  adopt(bytes: Buffer): void {
    this.#buffer = bytes;
    this.length = bytes.length;
  }

  /** The bytes so far, without giving them up. Good until the next append. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  /** The bytes, which now belong to the caller; empty afterwards. */
  take(): Buffer {
    const bytes = this.view();
    this.#buffer = none;
    this.length = 0;
    return bytes;
  }
}

/** The number that at most 15 digits say; undefined for any other text. Without the garbage and the time of `Number`. */
export function integerOf(text: string): number | undefined {
  const { length } = text;
  if (length === 0 || length > 15) return undefined;
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    sum = sum * 10 + digit;
  }
  return sum;
}
