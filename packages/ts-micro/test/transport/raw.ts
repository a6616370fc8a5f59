import { readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { within } from "../../src/testing/suite.ts";
import type { MicroError } from "../../src/errors.ts";
import type { Connection, Message } from "../../src/transport.ts";

/** A bare socket that speaks bytes, for what no proper client or server would do. */
export class Raw {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  /** `fin`, `rst` or an error code; undefined while it is open. */
  ending: string | undefined;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const over = (how: string) => (): void => {
      this.ending ??= how;
      this.#wake();
    };
    socket.on("end", over("fin"));
    socket.on("close", over("closed"));
    socket.on("error", (error: NodeJS.ErrnoException) => over(error.code === "ECONNRESET" ? "rst" : `${error.code}`)());
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  get text(): string {
    return this.#bytes.toString("latin1");
  }

  async write(bytes: string | Buffer): Promise<void> {
    await new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()));
  }

  /** Waits until what came matches. */
  until(test: (text: string) => boolean, what = "the answer"): Promise<void> {
    return within(
      this.#until(() => test(this.text)),
      what,
    );
  }

  /** Waits for the end, and says how it ended. */
  async end(): Promise<string> {
    await within(
      this.#until(() => this.ending !== undefined),
      "the end of the socket",
    );
    return this.ending ?? "";
  }

  async #until(test: () => boolean): Promise<void> {
    while (!test()) {
      if (this.ending !== undefined)
        throw new Error(`ended (${this.ending}) after ${JSON.stringify(this.text.slice(0, 500))}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** A raw connection to `host:port`. */
export async function raw(address: string): Promise<Raw> {
  const colon = address.lastIndexOf(":");
  const socket = connect({
    host: address.slice(0, colon),
    port: Number(address.slice(colon + 1)),
    allowHalfOpen: true,
  });
  const client = new Raw(socket);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return client;
}

/** A server of raw connections on 127.0.0.1. */
export class RawServer implements AsyncDisposable {
  readonly address: string;
  readonly connections: Raw[] = [];
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  static async start(serve: (connection: Raw) => void = () => {}): Promise<RawServer> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const made = new RawServer(server);
    server.on("connection", (socket) => {
      const connection = new Raw(socket);
      made.connections.push(connection);
      serve(connection);
    });
    return made;
  }
}

/** A connection of a transport with what it received. */
export class User {
  readonly connection: Connection;
  readonly messages: Message[] = [];
  error: MicroError | undefined;
  #wake: () => void = () => {};

  constructor(connection: Connection, onMessage: (message: Message, connection: Connection) => void = () => {}) {
    this.connection = connection;
    connection.receive({
      message: (message) => {
        this.messages.push(message);
        onMessage(message, connection);
        this.#wake();
      },
      closed: (error) => {
        this.error = error;
        this.#wake();
      },
    });
  }

  async count(n: number): Promise<void> {
    await within(
      this.#until(() => this.messages.length >= n || this.error !== undefined),
      `${n} messages, of which ${this.messages.length} came`,
    );
    if (this.messages.length < n) throw this.error as MicroError;
  }

  async closed(): Promise<MicroError> {
    await within(
      this.#until(() => this.error !== undefined),
      "closed",
    );
    return this.error as MicroError;
  }

  async #until(test: () => boolean): Promise<void> {
    while (!test()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

export interface Capture {
  request: Buffer;
  response: Buffer;
  items: { name: string; request: Buffer }[];
}

/** Bytes between real Go processes: test/fixtures/wire. */
export function capture(name: string): Capture {
  const file = new URL(`../fixtures/wire/${name}.json`, import.meta.url);
  const json = JSON.parse(readFileSync(file, "utf8")) as {
    request_hex?: string;
    response_hex?: string;
    items?: { name?: string; what?: string; request_hex?: string }[];
  };
  return {
    request: Buffer.from(json.request_hex ?? "", "hex"),
    response: Buffer.from(json.response_hex ?? "", "hex"),
    items: (json.items ?? []).map((item) => ({
      name: item.name ?? item.what ?? "",
      request: Buffer.from(item.request_hex ?? "", "hex"),
    })),
  };
}

export function text(message: Message | undefined): string {
  return Buffer.from(message?.body ?? []).toString();
}
