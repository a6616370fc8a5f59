import type { Writable } from "node:stream";

/** Nobody reads our output any more. */
export class BrokenPipe extends Error {}

/** Standard output: each line is with the reader, or in its pipe, before the next one is made. */
export class Output {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
    // The write's own callback tells; without a listener the process would end with a stack trace.
    stream.on("error", () => {});
  }

  /** Writes `text` and a newline. Rejects with {@link BrokenPipe} when the reader has gone. */
  line(text: string): Promise<void> {
    return this.text(`${text}\n`);
  }

  text(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(text, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(isBrokenPipe(error) ? new BrokenPipe(error.message) : error);
      });
    });
  }
}

function isBrokenPipe(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EPIPE" || code === "ERR_STREAM_DESTROYED";
}
