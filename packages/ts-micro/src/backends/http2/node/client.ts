import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import type { Timer } from "../../../clock.ts";
import { exitAmbient } from "../../../internal/ambient.ts";
import {
  http2Codes,
  type Http2ClientOptions,
  type Http2End,
  type Http2AnswerEvents,
  type Http2Headers,
  type Http2Request,
  type Http2Session,
} from "../../http2.ts";
import { NodeStream, fromNode, ignore } from "./stream.ts";

/**
 * Servers on nghttp2 (Node's are) end a connection that resets more than a thousand streams at once, or 33 a second, and with it the calls
 * of others. Past this budget a session takes no new requests, and what is given up on it is left alone until it closes.
 */
const resetBurst = 200;
const resetsPerSecond = 30;
/** Streams that may be open before the server has said how many: nghttp2's own. */
const mostAtFirst = 100;

/** A connection on node:http2. */
export class NodeSession implements Http2Session {
  readonly #options: Http2ClientOptions;
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #streams = new Set<NodeRequest>();
  #lastId = Infinity;
  #usable = true;
  #resets = 0;
  #resetAt: number;
  #most = mostAtFirst;
  #full = false;
  /**
   * Resets that the server may not have heard of. A node:http2 server from Node 22 on counts a reset stream as an open one until its read
   * is over, and answers what comes behind the reset of a full connection with ENHANCE_YOUR_CALM.
   */
  #unheard = 0;
  #asking = false;
  #timer: Timer | undefined;
  #read = -1;
  #pinging = false;

  constructor(socket: Socket, options: Http2ClientOptions) {
    this.#options = options;
    this.#socket = socket;
    this.#resetAt = options.clock.now();
    this.#session = exitAmbient(() =>
      connect(`${options.scheme}://${options.authority}`, {
        createConnection: () => socket,
        maxSessionMemory: 1024,
        settings: { enablePush: false, initialWindowSize: options.window, maxHeaderListSize: options.maxHeader },
      }),
    );
    const session = this.#session;
    session.setLocalWindowSize(options.window * 16);
    session.on("error", ignore);
    session.on("remoteSettings", ({ maxConcurrentStreams }) => {
      this.#most = maxConcurrentStreams ?? Infinity;
      this.#room();
    });
    session.on("goaway", (_code, lastId) => {
      this.#lastId = Math.min(this.#lastId, lastId);
      this.#leave();
    });
    session.on("close", () => {
      this.#leave();
      if (this.#timer !== undefined) options.clock.cancel(this.#timer);
      options.gone(this);
    });
    // HTTP/2 has no half-closed connections, and a `finish` that waits for a peer who is gone would never come.
    socket.once("end", () => socket.destroy());
    session.unref();
  }

  get usable(): boolean {
    return this.#usable && !this.#session.closed && !this.#session.destroyed;
  }

  get full(): boolean {
    this.#full = this.#streams.size + this.#unheard >= this.#most;
    if (this.#full && this.#unheard > 0) this.#ask();
    return this.#full;
  }

  open(headers: Http2Headers, events: Http2AnswerEvents): Http2Request {
    const stream = new NodeRequest(this, this.#session.request(headers, requestOptions), events);
    this.#streams.add(stream);
    if (this.#timer === undefined) this.#watch(this.#options.keepalive);
    return stream;
  }

  close(): void {
    this.#leave();
    if (!this.#session.closed) this.#session.close();
  }

  destroy(): void {
    this.#leave();
    this.#session.destroy();
    this.#socket.destroy();
  }

  /** True when the peer has surely not looked at this stream. */
  unprocessed(id: number | undefined): boolean {
    return id === undefined || id > this.#lastId;
  }

  get lost(): boolean {
    return this.#session.destroyed || this.#socket.destroyed;
  }

  /** Whether one more reset is within the budget. */
  mayReset(): boolean {
    if (this.#usable) this.#count();
    if (this.#resets >= resetBurst) return false;
    this.#unheard++;
    return true;
  }

  #count(): void {
    const now = this.#options.clock.now();
    this.#resets = Math.max(0, this.#resets - ((now - this.#resetAt) / 1000) * resetsPerSecond) + 1;
    this.#resetAt = now;
    if (this.#resets >= resetBurst) this.#leave();
  }

  /** The answer to settings comes after all that was sent before them. A ping would do, but there are servers that count those. */
  #ask(): void {
    if (this.#asking || this.lost) return;
    this.#asking = true;
    const heard = this.#unheard;
    this.#session.settings({}, () => {
      this.#asking = false;
      this.#unheard -= heard;
      this.#room();
    });
  }

  #room(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#options.room();
  }

  over(stream: NodeRequest): void {
    this.#streams.delete(stream);
    this.settle();
    this.#room();
  }

  /** Ends a session that takes nothing new when all that is left was given up. */
  settle(): void {
    if (this.#usable || this.lost) return;
    for (const stream of this.#streams) if (!stream.left) return;
    if (this.#streams.size > 0) this.destroy();
    else if (!this.#session.closed) this.#session.close();
  }

  #leave(): void {
    if (!this.#usable) return;
    this.#usable = false;
    this.#options.left(this);
    this.settle();
    this.#room();
  }

  /** One timer for a connection, only while requests are under way: a byte since the last look, or a ping. */
  #watch(ms: number): void {
    this.#timer = this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      if (this.#streams.size === 0 || this.lost) return;
      const { keepalive, keepaliveTimeout } = this.#options;
      const read = this.#socket.bytesRead;
      if (read !== this.#read) {
        this.#read = read;
        this.#pinging = false;
        this.#watch(keepalive);
      } else if (this.#pinging) this.destroy();
      else {
        this.#pinging = true;
        this.#session.ping(ignore);
        this.#watch(keepaliveTimeout);
      }
    });
  }
}

const endless = { endStream: false };
/** All of them, where node:http2 knows priorities: it adds those that are missing, one by one, to every request. */
const requestOptions =
  Number.parseInt(process.versions.node, 10) < 22
    ? { ...endless, weight: 16, parent: 0, exclusive: false, silent: false }
    : endless;

class NodeRequest extends NodeStream implements Http2Request {
  readonly #session: NodeSession;
  readonly #answer: Http2AnswerEvents;
  #answered = false;
  #reset: number | undefined;
  #sentAll = false;
  /** Given up, without a reset that would tell the peer. */
  left = false;

  constructor(session: NodeSession, stream: ClientHttp2Stream, events: Http2AnswerEvents) {
    super(stream);
    this.#session = session;
    this.events = this.#answer = events;
    this.read();
  }

  end(chunk?: Uint8Array, sent?: () => void): void {
    this.#sentAll = true;
    if (this.stream.destroyed || this.stream.writableEnded) return;
    if (sent === undefined) this.stream.end(chunk);
    else this.stream.end(chunk, (error?: Error | null) => void (error ?? sent()));
  }

  override reset(code: number): void {
    if (this.left || this.stream.closed || this.stream.destroyed) return;
    this.#reset ??= code;
    if (this.#session.mayReset()) return super.reset(code);
    this.left = true;
    this.events?.closed("reset", code);
    this.events = undefined;
    this.stream.resume();
    this.#session.settle();
  }

  head(headers: IncomingHttpHeaders, flags: number): void {
    this.#answered = true;
    if (this.events === this.#answer) this.#answer.head(fromNode(headers), (flags & 1) === 1);
  }

  trailers(headers: IncomingHttpHeaders): void {
    if (this.events === this.#answer) this.#answer.trailers(fromNode(headers));
  }

  sendTrailers(): void {}

  aborted(): void {}

  protected gone(): void {
    const { stream } = this;
    const code = this.#reset ?? stream.rstCode ?? http2Codes.none;
    const session = this.#session;
    const complete =
      this.ended && this.#answered && code === http2Codes.none && (this.#sentAll || stream.writableEnded);
    const refused = !this.#answered && (code === http2Codes.refused || session.unprocessed(stream.id));
    this.events?.closed(this.#how(complete, refused, code), code);
    this.events = undefined;
    session.over(this);
  }

  #how(complete: boolean, refused: boolean, code: number): Http2End {
    if (this.#reset !== undefined) return "reset";
    if (complete) return "complete";
    if (refused) return "unprocessed";
    // An end without a code that is none: the connection was closed under it.
    return this.#session.lost || code === http2Codes.none ? "lost" : "reset";
  }
}
