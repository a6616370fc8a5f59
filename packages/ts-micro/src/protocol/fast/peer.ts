import type { Socket } from "node:net";
import type { Cancellation } from "../../context.ts";
import { MicroError, fromUnknown } from "../../errors.ts";
import { Deadlines, type Expiring } from "../../internal/deadlines.ts";
import { openSocket, type Dialler } from "../../internal/dial.ts";
import { Inlet } from "../../internal/inlet.ts";
import type { CallHead, OutgoingCall, Peer, RawStream, Reply } from "../../protocol.ts";
import type { ClientTlsOptions } from "../../tls.ts";
import { Flag, kinds } from "../../wire/fast/frame.ts";
import type { Node } from "../../wire/registry-record.ts";
import { ClientLink, type ClientHome } from "./client.ts";
import { ClientStream } from "./client-stream.ts";
import { shakeHands } from "./handshake.ts";
import { LateStream } from "./late-stream.ts";
import type { LinkOptions } from "./link.ts";
import { PromisedCall, routeOf } from "../common/promised.ts";
import { undialled } from "../common/undialled.ts";

const clientId = "go.micro.client";
/** As {@link PeerOptions.avoid}, when the connection just ended: a node that went, more often than one that does not speak it. */
const avoidEnded = 5000;

/** What a peer is made of. Times are milliseconds. */
export interface PeerOptions extends LinkOptions {
  readonly connections: number;
  readonly tls: ClientTlsOptions | undefined;
  readonly dialler: Dialler;
  /** How long the node's answer to our preface may take. */
  readonly answerTimeout: number;
  /** How long a node that did not answer is called another way. */
  readonly avoid: number;
}

/** A call or stream that waits for a connection. */
interface Waiting extends Expiring {
  go(link: ClientLink): void;
  /** The node does not speak our framing after all. */
  elsewhere(peer: Peer): void;
  fail(error: MicroError): void;
  expire(): void;
}

/**
 * The client's way to one node: one connection for everything, made at the first call. A node that does not answer the preface, because
 * something between us and it does not let it through, is called by `next` for some minutes.
 */
export class FastPeer implements Peer, ClientHome {
  readonly node: Node;
  readonly options: PeerOptions;
  readonly #next: (() => Peer) | undefined;
  readonly #left: (peer: FastPeer) => void;
  readonly #deadlines: Deadlines<Expiring & { expire(): void }>;
  readonly #links: ClientLink[] = [];
  /** They take no new calls, any more or yet. */
  readonly #leaving = new Set<ClientLink>();
  readonly #waiting = new Set<Waiting>();
  #dialling = 0;
  #turn = 0;
  /** Where calls go until our framing is answered again. */
  #other: Peer | undefined;
  #avoiding = false;
  #avoidUntil = -Infinity;
  #closed = false;
  readonly #abort = new AbortController();

  constructor(node: Node, options: PeerOptions, next: (() => Peer) | undefined, left: (peer: FastPeer) => void) {
    this.node = node;
    this.options = options;
    this.#next = next;
    this.#left = left;
    this.#deadlines = new Deadlines(
      options.clock,
      () => this.#all(),
      (entry) => entry.expire(),
    );
  }

  get pending(): number {
    let sum = this.#waiting.size + (this.#other?.pending ?? 0);
    for (const link of this.#links) sum += link.pending;
    for (const link of this.#leaving) sum += link.pending;
    return sum;
  }

  direct(call: OutgoingCall): void {
    const link = this.#link();
    if (link !== undefined) link.call(call);
    else this.#wait(new WaitingCall(this, call));
  }

  unary(head: CallHead, body: Uint8Array, cancellation?: Cancellation): Promise<Reply> {
    if (head.deadline <= this.options.clock.now()) return Promise.reject(this.late(head, true));
    return new Promise((resolve, reject) => {
      if (cancellation?.reason !== undefined) return reject(cancellation.reason);
      this.direct(new PromisedCall(head, routeOf(head), body, cancellation, resolve, reject));
    });
  }

  stream(head: CallHead, cancellation?: Cancellation, over?: (error: MicroError | undefined) => void): RawStream {
    let unlink: (() => void) | undefined;
    let told = false;
    const settled = (error: MicroError | undefined): void => {
      if (told) return;
      told = true;
      unlink?.();
      over?.(error);
    };
    const link = this.#link();
    const stream =
      link !== undefined && head.deadline > this.options.clock.now()
        ? this.open(link, head, settled)
        : this.#late(head, settled);
    unlink = cancellation?.onCancel((reason) => stream.cancel(reason));
    if (told) unlink?.();
    return stream;
  }

  /** A stream of a connection; one that has failed when what the head says cannot be sent. */
  open(link: ClientLink, head: CallHead, over: (error: MicroError | undefined) => void): RawStream {
    try {
      return link.stream(
        (id) => new ClientStream(link, id, head.deadline, () => this.late(head, false), over, head.listener),
        kinds.indexOf(head.kind) | (head.listener === undefined ? 0 : Flag.listens),
        routeOf(head),
        head.metadata,
        head.deadline,
      );
    } catch (error) {
      const stream = new LateStream(over);
      stream.failed(fromUnknown(error, clientId));
      return stream;
    }
  }

  leaves(link: ClientLink): void {
    const at = this.#links.indexOf(link);
    if (at >= 0) this.#links.splice(at, 1);
    this.#leaving.add(link);
  }

  gone(link: ClientLink): void {
    const at = this.#links.indexOf(link);
    if (at >= 0) this.#links.splice(at, 1);
    this.#leaving.delete(link);
  }

  watch(deadline: number): void {
    this.#deadlines.add(deadline);
  }

  late(head: { service: string; endpoint: string }, unsent: boolean): MicroError {
    const detail = `${head.service} ${head.endpoint} at ${this.node.address}: the deadline passed ${unsent ? "before it was sent" : "before the reply"}`;
    return new MicroError({ id: clientId, code: "TIMEOUT", detail, refused: unsent });
  }

  forget(entry: Waiting): boolean {
    return this.#waiting.delete(entry);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const detail = `the connections to ${this.node.address} were closed`;
    const error = new MicroError({ id: clientId, code: "CONNECTION_LOST", detail });
    this.#abort.abort();
    this.#fail(new MicroError({ id: clientId, code: "CONNECTION_LOST", detail, refused: true }));
    for (const link of [...this.#links, ...this.#leaving]) link.close(detail, error);
    this.#deadlines.close();
    this.#left(this);
    await this.#other?.close();
  }

  #link(): ClientLink | undefined {
    const links = this.#links;
    if (links.length < this.options.connections && this.#dialling === 0) return this.#more();
    return links.length === 1 ? links[0] : links[this.#turn++ % links.length];
  }

  /** There are fewer connections than there may be. */
  #more(): ClientLink | undefined {
    if (this.#closed || this.#avoids()) return this.#links[0];
    for (let n = this.#links.length; n < this.options.connections; n++) void this.#dial();
    return this.#links[0];
  }

  /** No further connection yet: one was not answered, and calls have another way. */
  #avoids(): boolean {
    return (this.#avoiding || this.#links.length > 0) && this.options.clock.now() < this.#avoidUntil;
  }

  #wait(entry: Waiting): void {
    if (this.#closed) return entry.fail(this.#closedError());
    if (this.#avoiding && this.#other !== undefined) return entry.elsewhere(this.#other);
    this.#waiting.add(entry);
    if (entry.deadline !== Infinity) this.#deadlines.add(entry.deadline);
  }

  #late(head: CallHead, over: (error: MicroError | undefined) => void): LateStream {
    const stream = new LateStream(over);
    const entry: Waiting = {
      deadline: head.deadline,
      go: (link) => stream.opened(this.open(link, head, over)),
      elsewhere: (peer) => stream.opened(peer.stream(head, undefined, over)),
      fail: (error) => stream.failed(error),
      expire: () => {
        if (this.forget(entry)) stream.failed(this.late(head, true));
      },
    };
    stream.onCancel = () => this.forget(entry);
    if (head.deadline <= this.options.clock.now()) stream.failed(this.late(head, true));
    else this.#wait(entry);
    return stream;
  }

  #closedError(): MicroError {
    const detail = `the connections to ${this.node.address} were closed`;
    return new MicroError({ id: clientId, code: "CONNECTION_LOST", detail, refused: true });
  }

  async #dial(): Promise<void> {
    const { options, node } = this;
    this.#dialling++;
    let socket: Socket | undefined;
    try {
      const tls = options.tls ?? (node.metadata["secure"] === "true" ? {} : undefined);
      const inlet = new Inlet();
      const onread = tls === undefined ? inlet.onread : undefined;
      const { signal } = this.#abort;
      socket = await openSocket(node.address, tls, { deadline: Infinity, signal, onread }, options.dialler);
      const rest = await shakeHands(socket, inlet, options, signal);
      if (rest === undefined) return this.#elsewhere(socket);
      if (this.#closed) return void socket.destroy();
      const link = new ClientLink(socket, this, node.address);
      this.#leaving.add(link);
      await link.begin(rest, inlet, options.answerTimeout);
      this.#avoiding = false;
      if (link.refusal === undefined) {
        this.#leaving.delete(link);
        this.#links.push(link);
      }
      this.#serve(link);
    } catch (error) {
      socket?.destroy();
      if (this.#links.length === 0) this.#fail(undialled(error, node));
    } finally {
      this.#dialling--;
    }
  }

  #serve(link: ClientLink): void {
    for (const entry of this.#waiting) {
      if (link.refusal !== undefined) return this.#fail(link.refusal);
      this.#waiting.delete(entry);
      entry.go(link);
    }
  }

  #fail(error: MicroError): void {
    for (const entry of this.#waiting) {
      this.#waiting.delete(entry);
      entry.fail(error);
    }
  }

  /** The preface was not answered. */
  #elsewhere(socket: Socket): void {
    const ended = socket.destroyed || socket.readableEnded;
    socket.destroy();
    if (this.#closed) return;
    if (this.#next === undefined)
      return this.#fail(
        new MicroError({
          id: clientId,
          code: "UNAVAILABLE",
          detail: `${this.node.address} does not speak fast framing`,
          refused: true,
        }),
      );
    this.#avoiding = true;
    const { clock, avoid } = this.options;
    this.#avoidUntil = clock.now() + (ended ? Math.min(avoid, avoidEnded) : avoid);
    const other = (this.#other ??= this.#next());
    for (const entry of this.#waiting) {
      this.#waiting.delete(entry);
      entry.elsewhere(other);
    }
  }

  *#all(): IterableIterator<Expiring & { expire(): void }> {
    yield* this.#waiting;
    for (const link of [...this.#links, ...this.#leaving]) {
      yield link;
      for (const [id, call] of link.calls.entries())
        yield { deadline: call.due, expire: () => link.abandon(id, this.late(call.route, false)) };
      for (const stream of link.streams.values()) yield stream as ClientStream;
    }
  }
}

class WaitingCall implements Waiting {
  readonly deadline: number;
  readonly #peer: FastPeer;
  readonly #call: OutgoingCall;

  constructor(peer: FastPeer, call: OutgoingCall) {
    this.#peer = peer;
    this.#call = call;
    this.deadline = call.due;
    call.unlink = call.cancellation?.onCancel((reason) => {
      if (peer.forget(this)) call.failed(reason);
    });
  }

  go(link: ClientLink): void {
    this.#call.unlink?.();
    this.#call.unlink = undefined;
    link.call(this.#call);
  }

  elsewhere(peer: Peer): void {
    this.#call.unlink?.();
    this.#call.unlink = undefined;
    this.#call.rerouted(peer);
  }

  fail(error: MicroError): void {
    this.#call.unlink?.();
    this.#call.failed(error);
  }

  expire(): void {
    if (this.#peer.forget(this)) this.fail(this.#peer.late(this.#call.route, true));
  }
}
