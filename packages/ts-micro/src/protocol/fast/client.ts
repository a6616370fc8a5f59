import type { Socket } from "node:net";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import type { Inlet } from "../../internal/inlet.ts";
import { tickTime } from "../../internal/tick.ts";
import type { Taken } from "../../metadata.ts";
import type { Body, OutgoingCall, ReplyListener, Route } from "../../protocol.ts";
import { Flag, Frame, broken, decodeFailure, lastId, type Settings } from "../../wire/fast/frame.ts";
import { copied } from "../../wire/fast/writer.ts";
import { bytesOf } from "../../wire/body.ts";
import { utf8Slice } from "../../wire/utf8.ts";
import { hear } from "./added.ts";
import type { ClientStream } from "./client-stream.ts";
import { Link, wireId, type LinkOptions } from "./link.ts";
import { Pending } from "./pending.ts";
import { tooLarge } from "./stream.ts";
import { Tables, metadataBlock } from "./tables.ts";

/** Unsent bytes at which further calls are turned away: the node does not read. */
const mostQueued = 64 << 20;

/** What the peer is told of its links. */
export interface ClientHome {
  readonly options: LinkOptions;
  /** It takes no new calls. */
  leaves(link: ClientLink): void;
  gone(link: ClientLink): void;
  watch(deadline: number): void;
}

/** The client's end of a connection whose handshake is done. */
export class ClientLink extends Link {
  readonly calls: Pending<OutgoingCall> = new Pending<OutgoingCall>();
  protected readonly yields = false;
  protected readonly hasty = false;
  readonly #home: ClientHome;
  readonly #tables: Tables;
  #next = 1;
  #leaving: MicroError | undefined;
  #lost: MicroError | undefined;
  #opening: { resolve: () => void; reject: (error: MicroError) => void } | undefined;

  constructor(socket: Socket, home: ClientHome, address: string) {
    super(socket, home.options, address);
    this.#home = home;
    this.#tables = new Tables(this.writer);
  }

  /** Why it takes no new calls. */
  get refusal(): MicroError | undefined {
    return this.#leaving ?? this.#lost;
  }

  /** Calls and streams under way. */
  get pending(): number {
    return this.calls.size + this.streams.size;
  }

  protected get newest(): number {
    return this.#next - 1;
  }

  protected get attentive(): boolean {
    return this.pending > 0;
  }

  call(call: OutgoingCall): void {
    let block: string;
    let body: Body;
    try {
      // Getters of the user's may run in both, and call: what they hand over is used at once, and the id is taken after them.
      block = blockOf(call.sent);
      body = call.body();
      if (!this.fits(body)) throw tooLarge(this.maxBody);
      // It is the caller's again before it has left.
      if (call.oneway && body instanceof Uint8Array && body.length > copied) body = Buffer.from(body);
    } catch (error) {
      return call.failed(fromUnknown(error, "go.micro.client"));
    }
    if (this.#queues()) return call.failed(this.#full());
    const id = this.#next;
    const flags = call.oneway ? Flag.oneway : call.listener === undefined ? 0 : Flag.listens;
    try {
      this.#request(id, flags, call.route, block, call.due, body);
    } catch (error) {
      return call.failed(fromUnknown(error, wireId));
    }
    if (call.oneway) {
      this.dirty();
      return call.replied(nothing, 0, 0);
    }
    this.calls.add(id, call);
    if (this.watch()) this.#home.watch(this.deadline);
    if (call.due !== Infinity) this.#home.watch(call.due);
    if (call.cancellation !== undefined) this.#link(id, call);
    this.dirty();
  }

  /** Reads from now on; resolves when the server has said what it takes. */
  async begin(bytes: Buffer, inlet: Inlet, timeout: number): Promise<void> {
    const { clock } = this.options;
    const settings = new Promise<void>((resolve, reject) => (this.#opening = { resolve, reject }));
    const timer = clock.after(timeout, () => this.close("it says nothing of its settings"));
    this.open(bytes, inlet);
    this.#home.watch(this.deadline);
    try {
      await settings;
    } finally {
      clock.cancel(timer);
    }
  }

  /** Opens a stream; `make` is given its id. */
  stream(
    make: (id: number) => ClientStream,
    kind: number,
    route: Route,
    sent: Taken | undefined,
    due: number,
  ): ClientStream {
    const block = blockOf(sent);
    if (this.#queues()) throw this.#full();
    const id = this.#next;
    this.#request(id, kind, route, block, due, "");
    const stream = make(id);
    this.streams.set(id, stream);
    if (this.watch()) this.#home.watch(this.deadline);
    if (due !== Infinity) this.#home.watch(due);
    this.dirty();
    return stream;
  }

  /** Its deadline has passed, or it was cancelled: the server is told. */
  abandon(id: number, error: MicroError): void {
    const call = this.calls.take(id);
    if (call === undefined) return;
    call.unlink?.();
    this.say(Frame.cancel, 0, id, "");
    call.failed(error);
    this.idle();
  }

  /** Something has ended. */
  idle(): void {
    if (this.#leaving !== undefined && this.pending === 0) this.close("the server is stopping", this.#leaving);
  }

  override expire(): void {
    super.expire();
    if (this.deadline !== Infinity) this.#home.watch(this.deadline);
  }

  oversize(type: number, _flags: number, id: number, length: number): void {
    if (type === Frame.reply) {
      const call = this.calls.take(id);
      call?.unlink?.();
      call?.failed(tooLarge(this.options.maxBody));
      this.idle();
    } else if (type === Frame.message && id < this.#next) this.streams.get(id)?.cancel(tooLarge(this.options.maxBody));
    else this.offend(broken(`a frame of ${length} bytes`));
  }

  protected override settled(): void {
    const { routes, metadata }: Settings = this.peer;
    this.#tables.limit(routes, metadata);
    this.#opening?.resolve();
  }

  override frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (type !== Frame.reply) return super.frame(type, flags, id, bytes, from, to);
    const call = this.calls.take(id);
    if (call === undefined) {
      // Late, for a call that was given up.
      if (id >= this.#next) throw broken(`a reply to ${id}, which was not asked`);
      return;
    }
    if (call.unlink !== undefined) call.unlink();
    if ((flags & Flag.error) === 0) call.replied(bytes, from, to);
    else call.failed(decodeFailure(utf8Slice(bytes, from, to), (flags & Flag.refused) !== 0));
    if (this.#leaving !== undefined) this.idle();
  }

  protected received(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (type === Frame.end) {
      const stream = this.streams.get(id) as ClientStream | undefined;
      if (stream === undefined) return;
      stream.ended(
        (flags & Flag.error) === 0
          ? undefined
          : decodeFailure(utf8Slice(bytes, from, to), (flags & Flag.refused) !== 0),
      );
      this.idle();
    } else if (type === Frame.goaway) this.#goaway(flags, id, utf8Slice(bytes, from, to));
    else if (type === Frame.metadata) {
      if (id >= this.#next) throw broken(`metadata of ${id}, which was not asked`);
      const { listener } = this.calls.get(id) ?? (this.streams.get(id) as ClientStream | undefined) ?? silent;
      hear(listener, flags, bytes, from, to);
    } else if (type === Frame.request || type === Frame.define || type === Frame.cancel)
      throw broken("a request from a server");
  }

  protected lost(error: MicroError, unsent: MicroError): void {
    this.#lost = unsent;
    this.#home.gone(this);
    this.#opening?.reject(unsent);
    for (const [id, call] of this.calls.entries()) {
      this.calls.take(id);
      call.unlink?.();
      call.failed(id > this.flushed ? unsent : error);
    }
  }

  /** Requests above `last` were not served and will not be. */
  #goaway(flags: number, last: number, text: string): void {
    if ((flags & Flag.error) !== 0)
      return this.close(
        text,
        new MicroError({ id: wireId, code: "PROTOCOL", detail: `${this.remote}: ${text.slice(0, 1024)}` }),
      );
    const error = new MicroError({
      id: wireId,
      code: "DRAINING",
      detail: `${this.remote}: the server is stopping`,
      refused: true,
    });
    this.#leaving = error;
    this.#home.leaves(this);
    for (const [id, call] of this.calls.entries()) {
      if (id <= last) continue;
      this.calls.take(id);
      call.unlink?.();
      call.failed(error);
    }
    for (const [id, stream] of this.streams) if (id > last) (stream as ClientStream).ended(error);
    this.idle();
  }

  #request(id: number, flags: number, route: Route, block: string, due: number, body: Body): void {
    const number = this.#tables.route(route);
    let metadata = 0;
    let all = flags;
    let payload = body;
    if (block !== "") {
      metadata = this.#tables.block(block);
      if (metadata === 0) {
        const inline = Buffer.from(block);
        all |= Flag.inline;
        metadata = inline.length;
        payload = Buffer.concat([inline, bytesOf(body)]);
        if (payload.length > this.maxBody) throw tooLarge(this.maxBody);
      }
    }
    const timeout = due === Infinity ? 0 : Math.max(1, Math.ceil(due - tickTime(this.options.clock)));
    this.writer.request(Frame.request, all, id, number, metadata, Math.min(timeout, 0xffff_ffff), payload);
    this.#next = id + 1;
    if (id === lastId) this.#exhausted();
  }

  #exhausted(): void {
    this.#leaving = errors.connectionLost(wireId, `${this.remote}: the ids are used up`);
    this.#home.leaves(this);
  }

  #link(id: number, call: OutgoingCall): void {
    call.unlink = call.cancellation?.onCancel((reason) => this.abandon(id, reason));
  }

  /** It does not read, and much waits for it. */
  #queues(): boolean {
    return this.choked && this.socket.writableLength > mostQueued;
  }

  #full(): MicroError {
    const detail = `${this.remote}: ${this.socket.writableLength} bytes wait to be read by it`;
    return new MicroError({ id: wireId, code: "RESOURCE_EXHAUSTED", detail, refused: true });
  }
}

const nothing = Buffer.alloc(0);
const silent: { readonly listener?: ReplyListener } = {};

function blockOf(sent: Taken | undefined): string {
  return sent === undefined ? "" : metadataBlock(sent);
}
