import type { Socket } from "node:net";
import { eventually } from "../../src/testing/suite.ts";

/** Takes over a client's socket, which then reads just as much as it is told to: a timer that is late would find all of it read. */
export class Reader {
  readonly socket: Socket;
  /** Bytes that it has read. */
  got = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.removeAllListeners("data").on("data", (chunk: Buffer) => (this.got += chunk.length));
    socket.pause();
  }

  /** Reads more than `bytes`, and no longer. The kernel may let more be written after some MiB alone. */
  async reads(bytes: number): Promise<void> {
    const enough = this.got + bytes;
    const stop = (): unknown => this.got > enough && this.socket.pause();
    this.socket.on("data", stop).resume();
    await eventually(() => this.socket.isPaused(), "it reads");
    this.socket.off("data", stop);
  }
}
