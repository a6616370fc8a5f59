import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Body } from "../../protocol.ts";
import { putBody } from "../../wire/body.ts";
import { utf8Write } from "../../wire/utf8.ts";

const size = 16 << 10;
/** Of all sockets: what the system has taken at once leaves it free for the next message. */
let slab = Buffer.allocUnsafeSlow(size);

/**
 * Writes the head of a message, in the pieces that it is made of (to join them would cost more), and its body of `length` bytes in one
 * system call. False: the head has more than `maxHead` bytes, and nothing was written.
 */
export function writeMessage(
  socket: Socket,
  start: string,
  lines: readonly string[],
  body: Body,
  length: number,
  maxHead: number,
): boolean {
  let characters = start.length + 40;
  for (let i = 0; i < lines.length; i++) characters += (lines[i] as string).length;
  const most = characters * 3 + length;
  const apart = most > size || socket.writableLength > 0 || (socket as TLSSocket).encrypted;
  const bytes = apart ? Buffer.allocUnsafe(most) : slab;
  let at = utf8Write(bytes, start, 0);
  for (let i = 0; i < lines.length; i++) at = utf8Write(bytes, lines[i] as string, at);
  at = utf8Write(bytes, "Content-Length: ", at);
  at = utf8Write(bytes, String(length), at);
  at = utf8Write(bytes, "\r\n\r\n", at);
  if (at > maxHead) return false;
  socket.write(bytes.subarray(0, putBody(bytes, body, at)));
  if (!apart && socket.writableLength > 0) slab = Buffer.allocUnsafeSlow(size);
  return true;
}
