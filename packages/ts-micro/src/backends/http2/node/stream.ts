import { EventEmitter } from "node:events";
import type { Http2Stream as NodeHttp2Stream, IncomingHttpHeaders } from "node:http2";
import type { Http2Events, Http2Headers, Http2Stream } from "../../http2.ts";

const owner: unique symbol = Symbol("owner");

/** What node:http2 calls a stream, with ours behind it. */
interface Owned extends NodeHttp2Stream {
  [owner]?: NodeStream | undefined;
}

/** Both ends' part of a stream on node:http2. */
export abstract class NodeStream implements Http2Stream {
  readonly stream: NodeHttp2Stream;
  protected events: Http2Events | undefined;
  /** The peer has sent all. */
  protected ended = false;
  #gone = false;

  constructor(stream: NodeHttp2Stream) {
    this.stream = stream;
    (stream as Owned)[owner] = this;
    stream.emit = emit as typeof stream.emit;
  }

  get backlog(): number {
    return this.stream.writableLength;
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#gone || this.stream.destroyed || this.stream.writableEnded) return true;
    return this.stream.write(chunk);
  }

  reset(code: number): void {
    if (this.stream.closed || this.stream.destroyed) return;
    // What has come in would keep a paused stream from its end.
    this.leave();
    this.stream.close(code);
    this.stream.resume();
  }

  /** Nothing is told any more but the end. */
  protected leave(): void {
    if (this.events !== undefined) this.events = new OnlyClosed(this.events);
  }

  protected read(): void {
    this.stream.on("data", onData);
  }

  protected abstract gone(): void;

  /** The head of the answer, at a client. */
  abstract head(headers: IncomingHttpHeaders, flags: number): void;

  abstract trailers(headers: IncomingHttpHeaders): void;

  /** The body has left, and trailers may follow. */
  abstract sendTrailers(): void;

  /** It was closed before our end had said all. */
  abstract aborted(): void;

  heard(chunk: Buffer): void {
    this.events?.data(chunk);
  }

  over(): void {
    if (this.ended) return;
    this.ended = true;
    this.events?.ended();
  }

  room(): void {
    this.events?.drain();
  }

  close(): void {
    if (this.#gone) return;
    this.#gone = true;
    // node:http2 keeps a client's stream until the heap is collected as a whole: what hangs on it would be copied by every collection.
    (this.stream as Owned)[owner] = undefined;
    this.gone();
  }
}

/** Its user gave up: nothing but the end is left to be told. */
class OnlyClosed implements Http2Events {
  readonly #events: Http2Events;

  constructor(events: Http2Events) {
    this.#events = events;
  }

  data(): void {}
  ended(): void {}
  drain(): void {}

  closed(how: Parameters<Http2Events["closed"]>[0], code: number): void {
    this.#events.closed(how, code);
  }
}

function onData(this: Owned, chunk: Buffer): void {
  this[owner]?.heard(chunk);
}

const events: { emit(name: string | symbol, ...args: unknown[]): boolean } = EventEmitter.prototype;

/** In place of the stream's own: each listener is an event of its own to node:http2, and every call would bring six. */
function emit(this: Owned, name: string | symbol, a?: unknown, b?: unknown, c?: unknown): boolean {
  const stream = this[owner];
  if (stream === undefined) return name === "error" || events.emit.call(this, name, a, b, c);
  switch (name) {
    case "response":
      stream.head(a as IncomingHttpHeaders, b as number);
      return true;
    case "trailers":
      stream.trailers(a as IncomingHttpHeaders);
      return true;
    case "wantTrailers":
      stream.sendTrailers();
      return true;
    case "aborted":
      stream.aborted();
      break;
    case "drain":
      stream.room();
      break;
    case "end":
      stream.over();
      break;
    case "close":
      stream.close();
      break;
    case "error":
      // What broke shows in "close".
      return true;
  }
  return events.emit.call(this, name, a, b, c);
}

/** For what shows elsewhere; without a listener an error would end the process. */
export function ignore(): void {}

/** Headers as node:http2 gives them: repeated ones are joined already, but for cookies. Bytes beyond ASCII are UTF-8, as Go writes them. */
export function fromNode(headers: IncomingHttpHeaders): Http2Headers {
  const out = headers as Record<string, string | string[] | number | undefined>;
  for (const name in out) {
    const value = out[name];
    if (value !== undefined) out[name] = textOf(value);
  }
  return out as Http2Headers;
}

/** One of them. */
export function textOf(value: string | readonly string[] | number): string {
  if (typeof value !== "string") return typeof value === "number" ? String(value) : value.join(", ");
  return beyondAscii.test(value) ? Buffer.from(value, "latin1").toString() : value;
}

const beyondAscii = /[^\0-\x7f]/;
