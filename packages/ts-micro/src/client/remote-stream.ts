import type { Codec } from "../codec.ts";
import type { Duplex } from "../endpoint.ts";
import { errors, fromUnknown, isMicroError, type MicroError } from "../errors.ts";
import { isAsyncIterable } from "../internal/async-iterable.ts";
import type { RawStream } from "../protocol.ts";
import type { Node } from "../registry.ts";
import { blames } from "./attempts.ts";
import { decodeReply } from "./decode.ts";
import type { ClientEngine } from "./engine.ts";
import type { PreparedCall } from "./prepared.ts";

const id = "go.micro.client";

/** Chooses a node and opens the stream on it; the request of a `server` stream is sent, the source of the others is pumped. */
export async function openRemote(engine: ClientEngine, call: PreparedCall): Promise<Duplex<unknown, unknown>> {
  if (call.known?.descriptors !== undefined) await engine.codecs.load();
  const candidates = await engine.candidates(call);
  const stream = new RemoteStream(engine, call, candidates.nodes);
  stream.open();
  return stream;
}

class RemoteStream implements Duplex<unknown, unknown> {
  readonly #engine: ClientEngine;
  readonly #call: PreparedCall;
  #codec!: Codec;
  readonly #nodes: readonly Node[];
  readonly #tried = new Set<string>();
  #raw!: RawStream;
  #node!: Node;
  #began = 0;
  #firstMs: number | undefined;
  #received = false;
  #reported = true;
  #sourceError: MicroError | undefined;

  constructor(engine: ClientEngine, call: PreparedCall, nodes: readonly Node[]) {
    this.#engine = engine;
    this.#call = call;
    this.#nodes = nodes;
  }

  open(): void {
    const { selector, clock } = this.#engine.options;
    const call = this.#call;
    call.listener?.reset();
    this.#node = selector.select(call.service, this.#nodes, this.#tried);
    this.#tried.add(this.#node.id);
    this.#began = clock.now();
    selector.started(call.service, this.#node);
    this.#reported = false;
    try {
      const contentType = this.#engine.contentTypeOf(call, this.#node);
      this.#codec = this.#engine.codec(contentType);
      this.#raw = this.#engine
        .peer(this.#node)
        .stream(this.#engine.head(call, contentType), call.cancellation, (error) => {
          // Also when nobody reads any more.
          this.#report(error);
          call.over?.();
        });
    } catch (error) {
      this.#report(fromUnknown(error, id));
      throw error;
    }
    // Of a stream without types the request is its user's first message.
    if (call.kind === "server") {
      if (call.request !== undefined) this.#raw.send(this.#encode(call.request)).catch(() => {});
    } else if (isAsyncIterable(call.request)) void this.#pump(call.request);
  }

  async send(message: unknown): Promise<void> {
    await this.#raw.send(this.#encode(message));
  }

  end(): void {
    this.#raw.end();
  }

  cancel(reason?: unknown): void {
    const error = reason === undefined ? errors.cancelled(id, "cancelled") : fromUnknown(reason, id);
    this.#report();
    this.#raw.cancel(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    await Promise.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    let clean = false;
    try {
      for (;;) {
        const body = await this.#read();
        if (body === undefined) break;
        yield decodeReply(this.#codec, body, this.#call);
      }
      clean = true;
    } finally {
      this.#report();
      if (!clean) this.#raw.cancel(errors.cancelled(id, "the reader left"));
    }
  }

  async #read(): Promise<Uint8Array | undefined> {
    for (;;) {
      try {
        const body = await this.#raw.read();
        this.#received = true;
        this.#firstMs ??= this.#engine.options.clock.now() - this.#began;
        return body;
      } catch (error) {
        const failure = this.#sourceError ?? (isMicroError(error) ? error : fromUnknown(error, id));
        this.#report(failure);
        const again =
          failure.refused &&
          !this.#received &&
          this.#call.kind === "server" &&
          this.#call.request !== undefined &&
          this.#call.cancellation?.reason === undefined;
        if (
          !again ||
          this.#tried.size > this.#engine.options.retries ||
          this.#nodes.every((node) => this.#tried.has(node.id))
        )
          throw failure;
        this.open();
      }
    }
  }

  async #pump(source: AsyncIterable<unknown>): Promise<void> {
    try {
      for await (const message of source) await this.#raw.send(this.#encode(message));
      this.#raw.end();
    } catch (error) {
      // Either the source failed, which is the call's failure, or the stream is over and `read` knows why.
      this.#sourceError = fromUnknown(error, id);
      this.#raw.cancel(this.#sourceError);
    }
  }

  #encode(message: unknown): Uint8Array {
    const envelope = this.#codec.enveloped
      ? { type: "request" as const, id: "", endpoint: this.#call.endpoint }
      : undefined;
    return this.#codec.encode(message, this.#call.known?.descriptors?.request, envelope);
  }

  /** Tells the selector that the stream on this node is over, once. */
  #report(failure?: MicroError): void {
    if (this.#reported) return;
    this.#reported = true;
    const { selector, clock } = this.#engine.options;
    const ms = this.#firstMs ?? clock.now() - this.#began;
    selector.ended(this.#call.service, this.#node, ms, failure !== undefined && blames(failure) ? failure : undefined);
  }
}
