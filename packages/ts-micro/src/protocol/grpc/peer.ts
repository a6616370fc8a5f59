import { Http2Dialer } from "../../backends/http2/dialer.ts";
import type { Cancellation } from "../../context.ts";
import type { MicroError } from "../../errors.ts";
import { Deadlines } from "../../internal/deadlines.ts";
import type { CallHead, OutgoingCall, Peer, RawStream, Reply } from "../../protocol.ts";
import type { Node } from "../../wire/registry-record.ts";
import { PromisedCall } from "../common/promised.ts";
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
  readonly #dialer: Http2Dialer;
  readonly #left: (peer: GrpcPeer) => void;
  readonly #pending = new Set<Entry>();
  readonly #deadlines: Deadlines<Entry>;
  /** Calls that wait for the connection, or for room on it. */
  #waiting = new Set<Entry>();
  #dialling = false;
  #closed = false;

  constructor(node: Node, settings: Settings, left: (peer: GrpcPeer) => void) {
    this.node = node;
    this.settings = settings;
    this.#left = left;
    const { tls, dialTimeout, maxHeader, keepalive, keepaliveTimeout, clock } = settings;
    this.#dialer = new Http2Dialer({
      id: clientId,
      address: node.address,
      tls: tls ?? (node.metadata["secure"] === "true" ? {} : undefined),
      keepalive: keepalive ?? (node.metadata["ts-wire"] === undefined ? otherKeepalive : ourKeepalive),
      ...{ dialTimeout, maxHeader, window, keepaliveTimeout, clock },
      room: () => this.#resume(),
    });
    this.heads = new RequestHeads(this.#dialer.scheme, this.#dialer.authority, settings.gzip);
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
    if (cancellation?.reason !== undefined) return Promise.reject(cancellation.reason);
    return new Promise((resolve, reject) =>
      this.direct(new PromisedCall(head, head, body, cancellation, resolve, reject)),
    );
  }

  direct(call: OutgoingCall): void {
    if (this.#closed) return call.failed(closedPeer(this.node, true));
    const entry = new UnaryCall(this, call);
    this.#add(entry);
    if (call.cancellation !== undefined) entry.link(call.cancellation);
    this.#begin(entry);
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
    this.#dialer.close();
    this.#left(this);
  }

  #add(entry: Entry): void {
    this.#pending.add(entry);
    if (entry.deadline !== Infinity) this.#deadlines.add(entry.deadline);
  }

  #begin(entry: Entry): void {
    // A cancellation may have come before it.
    if (!this.#pending.has(entry)) return;
    const { session } = this.#dialer;
    if (session?.full === false) return entry.begin(session);
    this.#waiting.add(entry);
    if (session === undefined && !this.#dialling) void this.#dial();
  }

  /** The connection has room, or takes no more. */
  #resume(): void {
    for (const entry of this.#waiting) {
      const { session } = this.#dialer;
      if (session === undefined && !this.#dialling) void this.#dial();
      if (session?.full !== false) return;
      this.#waiting.delete(entry);
      this.#begin(entry);
    }
  }

  async #dial(): Promise<void> {
    this.#dialling = true;
    let failure: unknown;
    try {
      await this.#dialer.dial();
    } catch (error) {
      failure = error;
    }
    this.#dialling = false;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const entry of waiting) {
      if (failure !== undefined) entry.undialled(failure);
      else this.#begin(entry);
    }
  }
}
