import type { Codec } from "../codec.ts";
import { errors, fromUnknown, type MicroError } from "../errors.ts";
import { isAsyncIterable } from "../internal/async-iterable.ts";
import { decodeBody, encodeBody } from "../internal/bodies.ts";
import { Incoming } from "../internal/incoming.ts";
import type { RawStream } from "../protocol.ts";
import type { Node } from "../registry.ts";
import { isElsewhere, ofCall, reportFailure } from "./attempts.ts";
import { decodeReply, undecodable } from "./decode.ts";
import type { ClientEngine } from "./engine.ts";
import { Kept } from "./kept.ts";
import type { PreparedCall } from "./prepared.ts";
import { RequestSource, consumed } from "./request-source.ts";
import type { OpenStream } from "./stream.ts";

const id = "go.micro.client";
const done = Promise.resolve();

/** Chooses a node and opens the stream on it; the request of a `server` stream is sent, the source of the others is pumped. */
export async function openRemote(engine: ClientEngine, call: PreparedCall): Promise<OpenStream> {
  if (call.known?.descriptors !== undefined) await engine.codecs.load();
  const { nodes } = await engine.candidates(call);
  const stream = new RemoteStream(engine, call);
  stream.open(nodes);
  return stream;
}

class RemoteStream extends Incoming implements OpenStream {
  /** For the stream that the user holds: nothing need stand between its reader and this one. */
  readonly direct: unknown = this;
  readonly #engine: ClientEngine;
  readonly #call: PreparedCall;
  #codec!: Codec;
  #contentType = "";
  readonly #tried = new Set<string>();
  #attempts = 0;
  #raw!: RawStream;
  #node!: Node;
  #began = 0;
  #firstMs: number | undefined;
  #reported = true;
  /** As long as nothing has come back, and it is not too much. */
  #kept: Kept | undefined;
  /** The node has refused it, and another one is looked for. */
  #moving = false;
  /** What was kept has been sent to another node, or there is none. */
  #moved: Promise<void> = done;
  #source: RequestSource | undefined;
  #sourceError: MicroError | undefined;
  /** Its user wants no more of it. */
  #left = false;
  /** It is over on the wire. */
  #closed = false;

  constructor(engine: ClientEngine, call: PreparedCall) {
    super(id, true);
    this.#engine = engine;
    this.#call = call;
    if (call.kind !== "server" || call.request === undefined) this.#kept = new Kept();
  }

  /** On one of `nodes`. */
  open(nodes: readonly Node[]): void {
    const { selector, clock } = this.#engine.options;
    const call = this.#call;
    call.listener?.reset();
    this.#node = selector.select(call.service, nodes, this.#tried);
    this.#tried.add(this.#node.id);
    const attempt = ++this.#attempts;
    this.#closed = false;
    this.#began = clock.now();
    selector.started(call.service, this.#node);
    this.#reported = false;
    try {
      const contentType = this.#engine.contentTypeOf(call, this.#node);
      this.#codec = this.#engine.codec(contentType);
      this.#contentType = contentType;
      this.#raw = this.#engine
        .peer(this.#node, call)
        .stream(this.#engine.head(call, contentType), call.cancellation, (error) => {
          if (attempt !== this.#attempts) return;
          // Also when nobody reads any more.
          this.#report(error);
          this.#closed = true;
          if (this.#moving) return;
          if (error !== undefined && this.#again(error)) this.#move(ofCall(error, call, this.#node), false);
          else this.#ending();
        });
    } catch (error) {
      const failure = fromUnknown(error, id);
      this.#report(failure);
      throw failure;
    }
    // Of a stream without types the request is its user's first message.
    if (call.kind === "server") {
      if (call.request !== undefined) this.#request(call.request);
    } else if (isAsyncIterable(call.request) && !this.#closed && this.#source === undefined)
      void this.#pump(call.request);
    this.attach(this.#raw);
  }

  send(message: unknown): Promise<void> {
    try {
      return this.#say(message);
    } catch (error) {
      return Promise.reject(fromUnknown(error, id));
    }
  }

  end(): void {
    if (this.#kept !== undefined) this.#kept.ended = true;
    if (!this.#moving) this.#raw.end();
  }

  cancel(reason?: unknown): void {
    const error = reason === undefined ? errors.cancelled(id, "cancelled") : fromUnknown(reason, id);
    this.#left = true;
    this.#source?.leave();
    this.#report();
    this.#raw.cancel(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    await Promise.resolve();
  }

  override return(value?: unknown): Promise<IteratorResult<unknown, undefined>> {
    this.#leave();
    return super.return(value);
  }

  override ended(error: MicroError | undefined, dropped: boolean): void {
    if (error === undefined) return super.ended(undefined, dropped);
    // Known already.
    if (this.#moving) return;
    const node = error === this.#call.cancellation?.reason ? undefined : this.#node;
    const failure = this.#sourceError ?? ofCall(error, this.#call, node);
    this.#report(failure);
    // Once it is over on the wire that is decided.
    if (!this.#closed && this.#again(failure)) this.#move(failure, dropped);
    else super.ended(failure, dropped);
  }

  #move(failure: MicroError, dropped: boolean): void {
    this.#moving = true;
    this.#moved = this.#elsewhere(failure, dropped);
    // Who waits to send is told; who reads anyway.
    this.#moved.catch(() => {});
  }

  /** On another node, of those that there are by now. */
  async #elsewhere(failure: MicroError, dropped: boolean): Promise<void> {
    // The other stream is in the middle of its end.
    await done;
    let error = failure;
    let opened = false;
    const call = this.#call;
    const kept = this.#kept;
    try {
      const found = this.#engine.candidates(call);
      const { nodes } = found instanceof Promise ? await found : found;
      const same = kept === undefined ? nodes : nodes.filter((node) => this.#takes(node));
      const over = this.#left || this.#sourceError !== undefined || call.cancellation?.reason !== undefined;
      if (!over && same.some((node) => !this.#tried.has(node.id))) {
        this.#moving = false;
        this.open(same);
        opened = true;
      }
    } catch (cause) {
      error = fromUnknown(cause, id);
    }
    if (opened) return kept && (await this.#resend(kept));
    this.#moving = false;
    error = this.#sourceError ?? call.cancellation?.reason ?? error;
    super.ended(error, dropped);
    this.#ending();
    throw error;
  }

  /** There will be no more on the wire. */
  #ending(): void {
    this.#source?.leave();
    this.#call.over?.(this.unread > 0);
  }

  protected valueAt(bytes: Buffer, from: number, to: number): unknown {
    if (this.#firstMs === undefined) this.#first();
    const codec = this.#codec;
    if (codec.enveloped === true) return this.valueOf(Buffer.from(bytes.subarray(from, to)));
    try {
      return decodeBody(codec, this.#call.known?.descriptors?.response, bytes, from, to);
    } catch (error) {
      throw undecodable(error, this.#call);
    }
  }

  protected valueOf(body: Uint8Array): unknown {
    if (this.#firstMs === undefined) this.#first();
    return decodeReply(this.#codec, body, this.#call);
  }

  #first(): void {
    this.#firstMs = this.#engine.options.clock.now() - this.#began;
    this.#kept = undefined;
  }

  protected override spoiled(): void {
    this.#leave();
  }

  protected override told(error: MicroError | undefined): void {
    // A stream that is read may go on after an error; one that pushes is over.
    if (error !== undefined && this.#raw.receive === undefined) this.#leave();
    this.#report();
    this.#call.told?.();
  }

  #leave(): void {
    this.#left = true;
    this.#source?.leave();
    this.#report();
    this.#raw.cancel(errors.cancelled(id, "the reader left"));
  }

  /** Whether another node may be asked: this one refused before its first message. */
  #again(failure: MicroError): boolean {
    const { service, endpoint, kind, request, cancellation, deadline, options } = this.#call;
    const among = this.#engine.directory.peek(service, options.filters);
    return (
      !this.#left &&
      this.#sourceError === undefined &&
      (failure.refused || isElsewhere(failure, endpoint, among)) &&
      this.#firstMs === undefined &&
      (this.#kept !== undefined || (kind === "server" && request !== undefined)) &&
      cancellation?.reason === undefined &&
      deadline > this.#engine.options.clock.now() &&
      this.#attempts <= (options.retries ?? this.#engine.options.retries) &&
      (failure.code !== "RESOURCE_EXHAUSTED" || this.#engine.mayRetry())
    );
  }

  #request(request: unknown): void {
    try {
      const attempt = this.#attempts;
      this.#post(request).catch((error: unknown) => {
        const failure = ofCall(fromUnknown(error, id), this.#call, this.#node);
        // What has ended, or lost its connection, tells that itself.
        const over = this.#closed || attempt !== this.#attempts || failure.code === "CONNECTION_LOST";
        if (!over) this.#unsendable(failure);
      });
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  async #pump(requests: AsyncIterable<unknown>): Promise<void> {
    const source = (this.#source = new RequestSource(requests, () => consumed(this.#call)));
    try {
      if (await source.pump((message) => this.#say(message))) this.end();
    } catch (error) {
      this.#unsendable(fromUnknown(error, id));
    }
  }

  /** The source failed, or what is to be sent cannot be: the other end would wait for it. */
  #unsendable(error: MicroError): void {
    // Over on the wire: its reader is told how, after what came before.
    if (this.#closed && !this.#moving) return;
    this.#sourceError = error;
    // It is no fault of the node.
    this.#report();
    this.#raw.cancel(error);
  }

  /** Sends a message, which is kept while another node may have to be asked. */
  #say(message: unknown): Promise<void> {
    const kept = this.#kept;
    if (kept === undefined) return this.#post(message);
    const encoded = this.#encoded(message);
    // Bytes are encoded as themselves, and their user may use them again.
    const body = message instanceof Uint8Array ? new Uint8Array(encoded) : encoded;
    kept.add(body);
    if (kept.full && !this.#moving) this.#kept = undefined;
    return this.#sendKept(kept, body);
  }

  async #sendKept(kept: Kept, body: Uint8Array): Promise<void> {
    const attempt = this.#attempts;
    if (!this.#moving)
      try {
        await this.#wire().send(body);
        if (kept.large && this.#kept === kept) this.#kept = undefined;
        return;
      } catch (error) {
        if (!this.#moving && attempt === this.#attempts) {
          kept.drop(body);
          throw error;
        }
      }
    await this.#moved;
  }

  async #resend(kept: Kept): Promise<void> {
    const attempt = this.#attempts;
    const raw = this.#wire();
    const sent = Promise.all(kept.bodies.map((body) => raw.send(body)));
    if (kept.ended) raw.end();
    try {
      await sent;
    } catch (error) {
      if (!this.#moving && attempt === this.#attempts) throw error;
      await this.#moved;
    }
  }

  /** What was sent is of a form that this node takes, too. */
  #takes(node: Node): boolean {
    return this.#engine.contentTypeOf(this.#call, node) === this.#contentType;
  }

  #post(message: unknown): Promise<void> {
    const raw = this.#wire();
    return this.#codec.enveloped === true || raw.post === undefined
      ? raw.send(this.#encoded(message))
      : (raw.post(encodeBody(this.#codec, this.#call.known?.descriptors?.request, message)) ?? done);
  }

  #encoded(message: unknown): Uint8Array {
    const { endpoint, known } = this.#call;
    const codec = this.#codec;
    const envelope = codec.enveloped === true ? ({ type: "request", id: "", endpoint } as const) : undefined;
    return codec.encode(message, known?.descriptors?.request, envelope);
  }

  #wire(): RawStream {
    const { behind } = this.#raw;
    return behind === undefined ? this.#raw : (this.#raw = behind);
  }

  /** Tells the selector that the stream on this node is over, once. */
  #report(failure?: MicroError): void {
    if (this.#reported) return;
    this.#reported = true;
    const { selector, clock } = this.#engine.options;
    const ms = this.#firstMs ?? clock.now() - this.#began;
    const { service, cancellation } = this.#call;
    if (failure !== undefined) return reportFailure(selector, service, this.#node, ms, failure, cancellation);
    const unheard = this.#left && this.#firstMs === undefined;
    selector.ended(service, this.#node, ms, undefined, unheard ? "nothing" : undefined);
  }
}
