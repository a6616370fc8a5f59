import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Body } from "../../protocol.ts";
import { putBody } from "../../wire/body.ts";
import { utf8Write } from "../../wire/utf8.ts";

const size = 16 << 10;
/** Of all sockets: what the system has taken at once leaves it free for the next message. */
let slab = Buffer.allocUnsafeSlow(size);

/** The head of a message, in the pieces that it is made of: to join them would cost more than to write them. */
export class Head {
  /** What it cannot be longer than, in bytes. */
  readonly most: number;
  readonly #start: string;
  readonly #lines: readonly string[];
  readonly #length: number;

  /** `length`: that of the body. */
  constructor(start: string, lines: readonly string[], length: number) {
    this.#start = start;
    this.#lines = lines;
    this.#length = length;
    let characters = start.length + 40;
    for (const line of lines) characters += line.length;
    this.most = characters * 3;
  }

  get bytes(): number {
    return this.#put(Buffer.allocUnsafe(this.most));
  }

  /** Writes it and the body in one system call. */
  write(socket: Socket, body: Body): void {
    const most = this.most + this.#length;
    if (most > size || socket.writableLength > 0 || (socket as TLSSocket).encrypted) {
      const bytes = Buffer.allocUnsafe(most);
      return void socket.write(bytes.subarray(0, putBody(bytes, body, this.#put(bytes))));
    }
    socket.write(slab.subarray(0, putBody(slab, body, this.#put(slab))));
    if (socket.writableLength > 0) slab = Buffer.allocUnsafeSlow(size);
  }

  #put(bytes: Buffer): number {
    let at = utf8Write(bytes, this.#start, 0);
    for (const line of this.#lines) at = utf8Write(bytes, line, at);
    at = utf8Write(bytes, "Content-Length: ", at);
    at = utf8Write(bytes, String(this.#length), at);
    return utf8Write(bytes, "\r\n\r\n", at);
  }
}
