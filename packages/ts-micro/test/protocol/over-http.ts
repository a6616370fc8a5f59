import { createServer, type AddressInfo, type Socket } from "node:net";
import type { Acceptor } from "../../src/protocol.ts";

/** An acceptor on a port of its own. */
export interface Mounted {
  readonly address: string;
  readonly drain: () => Promise<void>;
  /** Ends every connection now. */
  readonly close: () => Promise<void>;
}

export async function mount(acceptor: Acceptor): Promise<Mounted> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    acceptor.accept(socket, Buffer.alloc(0), () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await acceptor.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { address: `127.0.0.1:${port}`, drain: () => acceptor.drain(), close: () => (closing ??= close()) };
}
