import type { Clock } from "../../clock.ts";
import type { Cancellation } from "../../context.ts";
import type { MicroError } from "../../errors.ts";
import { Chain } from "../../internal/chain.ts";
import { Deadlines } from "../../internal/deadlines.ts";
import { tickTime } from "../../internal/tick.ts";
import type { CallHead, OutgoingCall, Peer, RawStream, Reply } from "../../protocol.ts";
import type { Transport } from "../../transport.ts";
import type { Node } from "../../wire/registry-record.ts";
import { ClientStream } from "./client-stream.ts";
import { closedPeer, tooLate, type Owner, type Entry } from "./owner.ts";
import { PromisedCall, routeOf } from "../common/promised.ts";
import { UnaryCall } from "./unary.ts";

/** The client's way to one node: as many connections as calls under way, each for one exchange at a time (wire spec §2.6). */
export class MucpPeer implements Peer, Owner {
  readonly node: Node;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly goHalfCloseGrace: number;
  readonly #pending = new Chain<Entry>();
  readonly #deadlines: Deadlines<Entry>;
  readonly #left: (peer: MucpPeer) => void;
  /** Not for registered Go nodes of old, which want envelopes. */
  readonly direct: ((call: OutgoingCall) => void) | undefined;
  #closed = false;

  constructor(
    node: Node,
    transport: Transport,
    clock: Clock,
    goHalfCloseGrace: number,
    left: (peer: MucpPeer) => void,
  ) {
    this.node = node;
    this.transport = transport;
    this.clock = clock;
    this.goHalfCloseGrace = goHalfCloseGrace;
    this.#left = left;
    const old = (node.metadata["protocol"] ?? "") === "" && node.id !== node.address;
    this.direct = old ? undefined : (call) => this.#start(call);
    this.#deadlines = new Deadlines(
      clock,
      () => this.#pending,
      (entry) => entry.expire(),
    );
  }

  get pending(): number {
    return this.#pending.size;
  }

  unary(head: CallHead, body: Uint8Array, cancellation?: Cancellation): Promise<Reply> {
    return new Promise((resolve, reject) =>
      this.#start(new PromisedCall(head, routeOf(head), body, cancellation, resolve, reject), head.id),
    );
  }

  stream(head: CallHead, cancellation?: Cancellation, over?: (error: MicroError | undefined) => void): RawStream {
    const stream = new ClientStream(this, head, over);
    this.#add(stream);
    if (this.#closed) stream.abandon();
    else if (head.deadline <= this.clock.now()) stream.expire();
    else stream.start(cancellation);
    return stream;
  }

  settled(entry: Entry): void {
    this.#pending.leave(entry);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const entry of [...this.#pending]) entry.abandon();
    this.#deadlines.close();
    this.transport.forget(this.node);
    this.#left(this);
  }

  #start(call: OutgoingCall, id?: string): void {
    if (this.#closed) return call.failed(closedPeer(this.node, true));
    const now = tickTime(this.clock);
    if (call.due <= now) return call.failed(tooLate(call.route, this.node, true));
    const unary = new UnaryCall(this, call, id);
    this.#add(unary);
    unary.start(now);
  }

  #add(entry: Entry): void {
    this.#pending.enter(entry);
    if (entry.deadline !== Infinity) this.#deadlines.add(entry.deadline);
  }
}
