import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Node, Registry } from "../../src/registry.ts";
import { eventually } from "../../src/testing/suite.ts";

/** One HTTP request as bytes, cut by Content-Length. */
export interface RawRequest {
  readonly head: string;
  readonly body: string;
  readonly socket: Socket;
}

/** A subscriber made of a bare socket: records what it gets, answers what it is told. */
export class RawPeer {
  readonly requests: RawRequest[] = [];
  /** Sockets accepted so far. */
  connections = 0;
  /** Sent after each request; undefined sends nothing. */
  answer: string | undefined = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  onRequest: ((request: RawRequest) => void) | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
  }

  static async listen(port = 0): Promise<RawPeer> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
    return new RawPeer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    let text = "";
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (chunk) => {
      text += String(chunk);
      for (;;) {
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        const head = text.slice(0, end);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) return;
        const request = { head, body: text.slice(end + 4, end + 4 + length), socket };
        text = text.slice(end + 4 + length);
        this.requests.push(request);
        this.onRequest?.(request);
        if (this.answer !== undefined && !socket.destroyed) socket.write(this.answer);
      }
    });
  }
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const peer = await RawPeer.listen();
  const { port } = peer;
  await peer.close();
  return port;
}

/** Registers a subscription as its broker would. */
export async function announce(
  registry: Registry,
  topic: string,
  address: string,
  options: { queue?: string; id?: string; metadata?: Record<string, string> } = {},
): Promise<Node> {
  const node = {
    id: options.id ?? `${topic}-${address}`,
    address,
    metadata: { broker: "http", secure: "false", topic, ...options.metadata },
  };
  await registry.register({
    name: "micro.http.broker",
    version: options.queue ?? "ff.http.broadcast",
    metadata: {},
    endpoints: [],
    nodes: [node],
  });
  return node;
}

/** Sends bytes on one connection, and gives back what came until `until` matches or the peer closed. */
export async function exchange(address: string, bytes: Buffer | string, until: RegExp): Promise<string> {
  const [host, port] = address.split(":") as [string, string];
  const socket = connect(Number(port), host);
  let text = "";
  let closed = false;
  socket.setEncoding("latin1").on("data", (chunk) => (text += String(chunk)));
  socket.on("error", () => {}).on("close", () => (closed = true));
  socket.write(bytes);
  await eventually(() => closed || until.test(text), `an answer like ${String(until)}`);
  socket.destroy();
  return text;
}
