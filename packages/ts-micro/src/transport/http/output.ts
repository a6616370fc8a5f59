import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Body } from "../../protocol.ts";
import { utf8Write } from "../../wire/utf8.ts";

const size = 16 << 10;
/** Of all sockets: what the system has taken at once leaves it free for the next message. */
let slab = Buffer.allocUnsafeSlow(size);

/** Writes head and body, of `length` bytes, in one system call. */
export function writeMessage(socket: Socket, head: string, body: Body, length: number): void {
  const most = head.length * 3 + length;
  if (most > size || socket.writableLength > 0 || (socket as TLSSocket).encrypted) {
    const bytes = Buffer.allocUnsafe(most);
    return void socket.write(bytes.subarray(0, put(bytes, head, body)));
  }
  socket.write(slab.subarray(0, put(slab, head, body)));
  if (socket.writableLength > 0) slab = Buffer.allocUnsafeSlow(size);
}

/** Where it ends. */
function put(bytes: Buffer, head: string, body: Body): number {
  if (typeof body === "string") return utf8Write(bytes, head + body, 0);
  const at = utf8Write(bytes, head, 0);
  if (body instanceof Uint8Array) bytes.set(body, at);
  else for (let i = 0; i < body.length; i++) bytes[at + i] = body.bytes[i] as number;
  return at + body.length;
}
