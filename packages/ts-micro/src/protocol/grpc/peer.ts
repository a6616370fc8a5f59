import type { Http2Session } from "../../backends/http2.ts";
import type { Cancellation } from "../../context.ts";
import type { MicroError } from "../../errors.ts";
import { Deadlines } from "../../internal/deadlines.ts";
import { openSocket } from "../../internal/dial.ts";
import type { CallHead, Peer, RawStream, Reply } from "../../protocol.ts";
import type { Node } from "../../wire/registry-record.ts";
import { clientId, closedPeer, tooLate } from "../mucp/owner.ts";
import { ClientStream } from "./client-stream.ts";
import type { Entry, Owner } from "./owner.ts";
import { RequestHeads } from "./request.ts";
import { window, type Settings } from "./settings.ts";
import { UnaryCall } from "./unary.ts";

/** Between ends of ours; others cut off who asks more often than each five minutes. */
const ourKeepalive = 10_000;
const otherKeepalive = 300_000;

/** The client's way to one node: one connection for all calls, and a new one when that takes no more. */
export class GrpcPeer implements Peer, Owner {
  readonly node: Node;
  readonly settings: Settings;
  readonly heads: RequestHeads;
  readonly #secure: boolean;
  readonly #left: (peer: GrpcPeer) => void;
  readonly #pending = new Set<Entry>();
  readonly #deadlines: Deadlines<Entry>;
  readonly #sessions = new Set<Http2Session>();
  /** Calls that wait for the connection. */
  #waiting = new Set<Entry>();
  #session: Http2Session | undefined;
  #dialling: AbortController | undefined;
  #closed = false;

  constructor(node: Node, settings: Settings, left: (peer: GrpcPeer) => void) {
    this.node = node;
    this.settings = settings;
    this.#left = left;
    this.#secure = settings.tls !== undefined || node.metadata["secure"] === "true";
    const authority = node.address.startsWith("unix:") ? "localhost" : node.address;
    this.heads = new RequestHeads(this.#secure ? "https" : "http", authority, settings.gzip);
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
    if (this.#closed) return Promise.reject(closedPeer(this.node, true));
    if (head.deadline <= this.settings.clock.now()) return Promise.reject(tooLate(head, this.node, true));
    const call = new UnaryCall(this, head, body);
    this.#add(call);
    call.start(cancellation);
    this.#begin(call);
    return call.reply;
  }

  stream(head: CallHead, cancellation?: Cancellation, over?: (error: MicroError | undefined) => void): RawStream {
    const stream = new ClientStream(this, head, over);
    this.#add(stream);
    if (this.#closed) stream.abandon();
    else if (head.deadline <= this.settings.clock.now()) stream.expire();
    else {
      stream.start(cancellation);
      this.#begin(stream);
    }
    return stream;
  }

  settled(entry: Entry): void {
    this.#pending.delete(entry);
    this.#waiting.delete(entry);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const entry of this.#pending) entry.abandon();
    this.#deadlines.close();
    this.#dialling?.abort(closedPeer(this.node, true));
    for (const session of this.#sessions) session.destroy();
    this.#left(this);
  }

  #add(entry: Entry): void {
    this.#pending.add(entry);
    if (entry.deadline !== Infinity) this.#deadlines.add(entry.deadline);
  }

  #begin(entry: Entry): void {
    // A cancellation may have come before it.
    if (!this.#pending.has(entry)) return;
    if (this.#session?.usable) return entry.begin(this.#session);
    this.#waiting.add(entry);
    if (this.#dialling === undefined) void this.#dial();
  }

  async #dial(): Promise<void> {
    const { clock, dialTimeout, tls } = this.settings;
    const abort = (this.#dialling = new AbortController());
    let session: Http2Session | undefined;
    let failure: unknown;
    try {
      const [{ nodeHttp2 }, socket] = await Promise.all([
        import("../../backends/http2/node.ts"),
        openSocket(this.node.address, this.#secure ? (tls ?? {}) : undefined, {
          id: clientId,
          alpn: "h2",
          clock,
          dialTimeout,
          deadline: Infinity,
          signal: abort.signal,
        }),
      ]);
      session = nodeHttp2.client(socket, this.#clientOptions());
      this.#sessions.add(session);
      if (this.#closed) session.destroy();
      else this.#session = session;
    } catch (error) {
      failure = error;
    }
    this.#dialling = undefined;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const entry of waiting) {
      if (session === undefined) entry.undialled(failure);
      else this.#begin(entry);
    }
  }

  #clientOptions(): Parameters<typeof import("../../backends/http2/node.ts").nodeHttp2.client>[1] {
    const { clock, maxHeader, keepalive, keepaliveTimeout } = this.settings;
    return {
      scheme: this.#secure ? "https" : "http",
      authority: this.node.address.startsWith("unix:") ? "localhost" : this.node.address,
      clock,
      maxHeader,
      window,
      keepalive: keepalive ?? (this.node.metadata["ts-wire"] === undefined ? otherKeepalive : ourKeepalive),
      keepaliveTimeout,
      left: (session) => {
        if (this.#session === session) this.#session = undefined;
      },
      gone: (session) => this.#sessions.delete(session),
    };
  }
}
