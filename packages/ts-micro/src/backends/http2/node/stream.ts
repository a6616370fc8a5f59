import type { Http2Stream as NodeHttp2Stream, IncomingHttpHeaders } from "node:http2";
import type { Http2Events, Http2Headers, Http2Stream } from "../../http2.ts";

const owner: unique symbol = Symbol("owner");

/** What node:http2 calls a stream, with ours behind it: one set of listeners serves all of them. */
interface Owned extends NodeHttp2Stream {
  [owner]?: NodeStream;
}

/** Both ends' part of a stream on node:http2. */
export abstract class NodeStream implements Http2Stream {
  readonly stream: NodeHttp2Stream;
  protected events: Http2Events | undefined;
  /** The peer has sent all. */
  protected ended = false;
  #awaiting = false;
  #gone = false;

  constructor(stream: NodeHttp2Stream) {
    this.stream = stream;
    (stream as Owned)[owner] = this;
    stream.on("error", ignore).on("close", onClose);
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
    const room = this.stream.write(chunk);
    if (!room && !this.#awaiting) {
      this.#awaiting = true;
      this.stream.once("drain", onDrain);
    }
    return room;
  }

  reset(code: number): void {
    if (this.stream.closed || this.stream.destroyed) return;
    // What has come in would keep a paused stream from its end.
    this.events = this.events === undefined ? undefined : new OnlyClosed(this.events);
    this.stream.close(code);
    this.stream.resume();
  }

  protected read(): void {
    this.stream.on("data", onData).on("end", onEnd);
  }

  protected abstract gone(): void;

  heard(chunk: Buffer): void {
    this.events?.data(chunk);
  }

  over(): void {
    if (this.ended) return;
    this.ended = true;
    this.events?.ended();
  }

  room(): void {
    this.#awaiting = false;
    this.events?.drain();
  }

  close(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.gone();
  }

  static of(stream: NodeHttp2Stream): NodeStream {
    return (stream as Owned)[owner] as NodeStream;
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

function onData(this: NodeHttp2Stream, chunk: Buffer): void {
  NodeStream.of(this).heard(chunk);
}

function onEnd(this: NodeHttp2Stream): void {
  NodeStream.of(this).over();
}

function onDrain(this: NodeHttp2Stream): void {
  NodeStream.of(this).room();
}

function onClose(this: NodeHttp2Stream): void {
  NodeStream.of(this).close();
}

// What broke shows in "close"; without a listener the error would end the process.
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
