/** Most that is kept of a stream's first messages, in bytes and in messages: a refusal takes a moment to come back. */
const mostBytes = 64 * 1024;
const mostMessages = 64;

/** What was sent on a stream that another node may yet have to be asked for. As bytes: a source may use its objects again. */
export class Kept {
  readonly bodies: Uint8Array[] = [];
  /** Nothing was to come behind them. */
  ended = false;
  #bytes = 0;

  add(body: Uint8Array): void {
    this.bodies.push(body);
    this.#bytes += body.length;
  }

  get full(): boolean {
    // One alone is kept whatever its size: a refused dial is known before the next one is asked for.
    const { length } = this.bodies;
    return length > mostMessages || (length > 1 && this.#bytes > mostBytes);
  }

  /** Too much to hold on to once it has been sent. */
  get large(): boolean {
    return this.#bytes > mostBytes;
  }

  /** It was not sent. */
  drop(body: Uint8Array): void {
    const at = this.bodies.indexOf(body);
    if (at < 0) return;
    this.bodies.splice(at, 1);
    this.#bytes -= body.length;
  }
}
