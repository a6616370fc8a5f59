import { createSocket, type RemoteInfo, type Socket, type SocketOptions } from "node:dgram";
import { exitAmbient } from "../../internal/ambient.ts";

/** Where a packet came from; an IPv6 address may carry a zone. */
export interface Sender {
  readonly address: string;
  readonly port: number;
  readonly family: "IPv4" | "IPv6";
}

export type OnPacket = (packet: Buffer, from: Sender) => void;

/** Asked of the system, which gives what it allows: answers of many nodes come at the same moment. */
const receiveBuffer = 1 << 20;

/** Addresses are literals: nothing to look up, and a packet leaves in the call that sends it. */
const literal: NonNullable<SocketOptions["lookup"]> = (address, _, found) =>
  found(null, address, address.includes(":") ? 6 : 4);

/** A bound UDP socket, unref'd, in no request's context. `lost` is called once when it failed later on. Rejects with the error of the system. */
export function bindSocket(
  options: SocketOptions,
  port: number,
  onPacket: OnPacket,
  lost: (error: Error) => void,
): Promise<Socket> {
  return exitAmbient(
    () =>
      new Promise((resolve, reject) => {
        const socket = createSocket({ ...options, lookup: literal });
        let bound = false;
        socket.on("error", (error) => {
          closeSocket(socket);
          if (bound) lost(error);
          else reject(error);
        });
        socket.on("message", (packet, from: RemoteInfo) => onPacket(packet, from));
        socket.bind({ port, address: options.type === "udp6" ? "::" : "0.0.0.0", exclusive: true }, () => {
          bound = true;
          socket.unref();
          try {
            socket.setRecvBufferSize(receiveBuffer);
          } catch {
            // the default has to do
          }
          resolve(socket);
        });
      }),
  );
}

/** Closing one that is closed is no error. */
export function closeSocket(socket: Socket): void {
  socket.removeAllListeners("error");
  socket.on("error", () => {});
  try {
    socket.close();
  } catch {
    // was closed
  }
}

/** Resolves with the error of the system, or nothing when the packet was taken. */
export function sendTo(socket: Socket, packet: Uint8Array, port: number, address: string): Promise<Error | undefined> {
  return new Promise((resolve) => {
    try {
      socket.send(packet, port, address, (error) => resolve(error ?? undefined));
    } catch (error) {
      resolve(error as Error);
    }
  });
}
