import type { OnReadOpts, Socket } from "node:net";

/** Gets what a socket has read: `bytes[0, length)`, which the next read may overwrite. */
export type Reading = (bytes: Buffer, length: number) => void;

const size = 64 << 10;
/** Each read is told before the next one begins, except on Windows, where reads are under way with their buffers. */
const shared = process.platform === "win32" ? undefined : Buffer.allocUnsafeSlow(size);

/**
 * What a socket reads, told to whoever reads it at the time. A plain socket that is dialled reads into one buffer of ours, which spares it
 * the stream in between; others give their chunks.
 */
export class Inlet {
  reading: Reading = () => {};
  /** Reads into the buffer: nothing need be attached. */
  direct = false;

  /** Option of a dial, for sockets without TLS. */
  get onread(): OnReadOpts {
    this.direct = true;
    return {
      buffer: shared ?? Buffer.allocUnsafeSlow(size),
      callback: (length, bytes) => {
        this.reading(bytes as Buffer, length);
        return true;
      },
    };
  }

  attach(socket: Socket): void {
    if (!this.direct) socket.on("data", (chunk: Buffer) => this.reading(chunk, chunk.length));
  }
}
