import type { Agent } from "node:http";
import type { Cancellation } from "../../context.ts";
import { MicroError } from "../../errors.ts";
import { Deadlines, type Expiring } from "../../internal/deadlines.ts";
import { warnUnverified } from "../../internal/unverified.ts";
import { parseAddress } from "../../internal/net-address.ts";
import type { CallHead, Peer, RawStream, Reply } from "../../protocol.ts";
import type { Node } from "../../wire/registry-record.ts";
import type { Settings } from "./options.ts";
import { HttpCall } from "./request.ts";
import { HttpStream } from "./request-stream.ts";

/** A call or stream under way. */
export interface Pending extends Expiring {
  expire(): void;
  abandon(): void;
}

/** What a request needs to be made. */
export interface Line {
  readonly request: typeof import("node:http").request;
  readonly agent: Agent;
  readonly target: { readonly host: string; readonly port: number } | { readonly socketPath: string };
}

/** The client's way to one node: keep-alive connections of its own, one exchange at a time on each. */
export class HttpPeer implements Peer {
  readonly node: Node;
  readonly settings: Settings;
  readonly #pending = new Set<Pending>();
  readonly #deadlines: Deadlines<Pending>;
  readonly #left: (peer: HttpPeer) => void;
  #line: Promise<Line> | undefined;
  #closed = false;

  constructor(node: Node, settings: Settings, left: (peer: HttpPeer) => void) {
    this.node = node;
    this.settings = settings;
    this.#left = left;
    this.#deadlines = new Deadlines(
      settings.clock,
      () => this.#pending,
      (entry) => entry.expire(),
    );
  }

  get pending(): number {
    return this.#pending.size;
  }

  unary(head: CallHead, body: Uint8Array, cancellation?: Cancellation): Promise<Reply> {
    const call = new HttpCall(this, head, body);
    this.#begin(call, cancellation);
    return call.reply;
  }

  stream(head: CallHead, cancellation?: Cancellation, over?: (error: MicroError | undefined) => void): RawStream {
    const stream = new HttpStream(this, head, over);
    this.#begin(stream, cancellation);
    return stream;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const entry of this.#pending) entry.abandon();
    this.#deadlines.close();
    this.#left(this);
    (await this.#line?.catch(() => undefined))?.agent.destroy();
  }

  /** How requests are made; the modules for it are loaded by the first. */
  line(): Promise<Line> {
    this.#line ??= this.#load();
    return this.#line;
  }

  settled(entry: Pending): void {
    this.#pending.delete(entry);
  }

  /** The deadline of an entry has changed. */
  watch(deadline: number): void {
    if (deadline !== Infinity) this.#deadlines.add(deadline);
  }

  #begin(entry: HttpCall | HttpStream, cancellation: Cancellation | undefined): void {
    this.#pending.add(entry);
    if (this.#closed) return entry.abandon();
    if (entry.deadline <= this.settings.clock.now()) return entry.expire();
    this.watch(entry.deadline);
    void entry.start(cancellation);
  }

  async #load(): Promise<Line> {
    const { node, settings } = this;
    const tls = settings.tls ?? (node.metadata["secure"] === "true" ? {} : undefined);
    const address = parseAddress(node.address);
    const target = "path" in address ? { socketPath: address.path } : { host: address.host, port: address.port };
    const pool = {
      keepAlive: true,
      keepAliveMsecs: 60_000,
      maxSockets: settings.maxConnections,
      maxFreeSockets: settings.poolSize,
      timeout: settings.poolTtl,
      scheduling: "lifo",
    } as const;
    if (tls === undefined) {
      const { Agent, request } = await import("node:http");
      return { request, agent: new Agent(pool), target };
    }
    if (tls.rejectUnauthorized === false) warnUnverified();
    const { Agent, request } = await import("node:https");
    return { request, agent: new Agent({ ...pool, ...tls }), target };
  }
}
