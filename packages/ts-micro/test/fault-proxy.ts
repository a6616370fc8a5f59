import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Changes what passes, chunk by chunk; undefined swallows the chunk. */
export type Hook = (chunk: Buffer, offset: number) => Buffer | undefined;

/** One direction of one connection. */
export class Lane {
  /** Bytes that came in. */
  received = 0;
  /** Bytes passed on. */
  forwarded = 0;
  /** The sender has sent FIN. */
  finished = false;
  hook: Hook | undefined;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #after: () => void;
  #stopped = false;
  #delay = 0;
  #limit: { bytes: number; cut: () => void } | undefined;
  #flips: { at: number; mask: number }[] = [];
  #held: (Buffer | "fin")[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(from: Socket, to: Socket, after: () => void) {
    this.#from = from;
    this.#to = to;
    this.#after = after;
    from.on("data", (chunk: Buffer) => this.#arrived(chunk));
    from.on("end", () => this.#arrived("fin"));
    to.on("drain", () => from.resume());
    from.once("close", () => {
      for (const timer of this.#timers) clearTimeout(timer);
    });
  }

  /** Passes nothing on from here, FIN included, without telling anybody: a half-open link. */
  stop(): void {
    this.#stopped = true;
  }

  /** Passes on what was held back, and goes on. */
  go(): void {
    this.#stopped = false;
    const held = this.#held;
    this.#held = [];
    for (const item of held) this.#pass(item);
  }

  /** Everything from here on arrives `ms` later, in order. */
  delay(ms: number): void {
    this.#delay = ms;
  }

  /** Lets `bytes` of the whole direction through, then cuts the connection. */
  truncate(bytes: number, how: "fin" | "rst", cut: (how: "fin" | "rst") => void): void {
    this.#limit = { bytes, cut: () => cut(how) };
  }

  /** Changes the byte at `offset` of the direction. */
  corrupt(offset: number, mask = 0xff): void {
    this.#flips.push({ at: offset, mask });
  }

  #arrived(item: Buffer | "fin"): void {
    if (this.#delay === 0) return this.#pass(item);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#pass(item);
    }, this.#delay);
    this.#timers.add(timer);
  }

  #pass(item: Buffer | "fin"): void {
    if (this.#stopped) return void this.#held.push(item);
    if (item === "fin") {
      this.finished = true;
      this.#to.end();
      return;
    }
    const offset = this.received;
    this.received += item.length;
    let chunk: Buffer | undefined = this.#flipped(item, offset);
    if (this.hook !== undefined) chunk = this.hook(chunk, offset);
    if (chunk === undefined || chunk.length === 0 || !this.#to.writable) return this.#after();
    const limit = this.#limit;
    if (limit !== undefined && this.forwarded + chunk.length >= limit.bytes) {
      chunk = chunk.subarray(0, limit.bytes - this.forwarded);
      this.#limit = undefined;
      this.forwarded += chunk.length;
      this.#to.write(chunk, limit.cut);
      this.stop();
      return;
    }
    this.forwarded += chunk.length;
    if (!this.#to.write(chunk)) this.#from.pause();
    this.#after();
  }

  #flipped(chunk: Buffer, offset: number): Buffer {
    const hits = this.#flips.filter(({ at }) => at >= offset && at < offset + chunk.length);
    if (hits.length === 0) return chunk;
    const copy = Buffer.from(chunk);
    for (const { at, mask } of hits) copy[at - offset] = (copy[at - offset] ?? 0) ^ mask;
    return copy;
  }
}

/** A connection through the proxy. `up` leads to the server, `down` to the client. */
export class Link {
  readonly index: number;
  readonly up: Lane;
  readonly down: Lane;
  readonly #client: Socket;
  readonly #server: Socket;
  closed = false;

  constructor(index: number, client: Socket, server: Socket, gone: () => void, activity: () => void) {
    this.index = index;
    this.#client = client;
    this.#server = server;
    this.up = new Lane(client, server, activity);
    this.down = new Lane(server, client, activity);
    let open = 2;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.setNoDelay(true);
      socket.on("error", (error: NodeJS.ErrnoException) => {
        // A reset on one side is a reset on the other, unless the link is meant to look alive.
        if (error.code === "ECONNRESET" && !this.#silent) other.resetAndDestroy();
      });
      socket.once("close", () => {
        if (!this.#silent && !other.destroyed) other.end();
        if (--open > 0) return;
        this.closed = true;
        gone();
      });
    }
  }

  #silent = false;

  /** Both ends get FIN, or both get RST. */
  cut(how: "fin" | "rst"): void {
    for (const socket of [this.#client, this.#server]) {
      if (how === "rst") socket.resetAndDestroy();
      else socket.destroySoon();
    }
  }

  /** Neither end hears anything any more, not even that the other one has gone. */
  freeze(): void {
    this.#silent = true;
    this.up.stop();
    this.down.stop();
  }

  /** Lets so many bytes of the answer through, then cuts. */
  truncateDown(bytes: number, how: "fin" | "rst"): void {
    this.down.truncate(bytes, how, (how) => this.cut(how));
  }

  truncateUp(bytes: number, how: "fin" | "rst"): void {
    this.up.truncate(bytes, how, (how) => this.cut(how));
  }

  destroy(): void {
    this.#silent = true;
    this.#client.destroy();
    this.#server.destroy();
  }
}

/** A TCP proxy that breaks links on purpose: between any client and any server of a test. */
export class FaultProxy implements AsyncDisposable {
  /** `127.0.0.1:port`, what clients dial. */
  readonly address: string;
  /** Every connection so far, in order. */
  readonly links: Link[] = [];
  /** Called for each new connection, before any byte has passed. */
  onLink: (link: Link) => void = () => {};
  /** True: connections are reset as they come. */
  refusing = false;
  readonly #server: Server;
  readonly #open = new Set<Link>();
  #waiters: (() => void)[] = [];

  constructor(server: Server, target: { host: string; port: number } | { path: string }) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (client) => {
      if (this.refusing) {
        client.resetAndDestroy();
        return;
      }
      const upstream = connect({ ...target, allowHalfOpen: true });
      const link: Link = new Link(
        this.links.length,
        client,
        upstream,
        () => {
          this.#open.delete(link);
          this.#changed();
        },
        () => this.#changed(),
      );
      this.links.push(link);
      this.#open.add(link);
      this.onLink(link);
      this.#changed();
    });
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#open.size;
  }

  /** Bytes passed on so far, both ways. */
  get bytes(): number {
    return this.links.reduce((sum, { up, down }) => sum + up.forwarded + down.forwarded, 0);
  }

  /** Resolves when `test` holds; it is tried again whenever a connection comes, goes, or passes bytes on. */
  async until(test: () => boolean): Promise<void> {
    while (!test()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  cutAll(how: "fin" | "rst"): void {
    for (const link of this.#open) link.cut(how);
  }

  async close(): Promise<void> {
    for (const link of this.#open) link.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #changed(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}

/** Starts a proxy on a free port of 127.0.0.1. `target`: `host:port` or `unix:/path`. */
export async function faultProxy(target: string): Promise<FaultProxy> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const colon = target.lastIndexOf(":");
  const place = target.startsWith("unix:")
    ? { path: target.slice(5) }
    : { host: target.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(target.slice(colon + 1)) };
  return new FaultProxy(server, place);
}
