import type { Socket } from "node:net";

/** Bytes that have left a socket. One write may be all that waited: how far it is the handle alone knows, which Node's own timeouts ask too. */
export function leftOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { bytesWritten?: number; writeQueueSize?: number } | null };
  return handle?.bytesWritten === undefined || handle.writeQueueSize === undefined
    ? socket.bytesWritten - socket.writableLength
    : handle.bytesWritten - handle.writeQueueSize;
}
