import { Gathered } from "./bytes.ts";
import { ChunkedBody } from "./chunked.ts";
import { HeadReader } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import { malformed, resolveLimits, tooLarge, type Http1Limits, type ResolvedLimits } from "./limits.ts";

const none: Buffer = Buffer.alloc(0);

/** What requests and responses have in common. */
export class Http1Message {
  // Set by the constructor alone: fields that a class defines cost a step each.
  /** Canonical names, each once; values decoded as UTF-8 (wire spec §10). */
  declare readonly headers: HeaderList;
  /** The sender ends the connection after this message: `Connection: close` in any case, or HTTP/1.0 without keep-alive. */
  declare readonly close: boolean;
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. */
  declare readonly minor: number;
  /** The decoded body is `bytes[from, to)`; empty until it is complete. */
  declare bytes: Buffer;
  declare from: number;
  declare to: number;
  /** The bytes are of a chunk that was lent. */
  declare lent: boolean;

  constructor(headers: HeaderList, close: boolean, minor: number) {
    this.headers = headers;
    this.close = close;
    this.minor = minor;
    this.bytes = none;
    this.from = 0;
    this.to = 0;
    this.lent = false;
  }

  /** The decoded body, to keep. May be a view of the chunk that it came in, unless that was lent. */
  get body(): Buffer {
    const view = this.bytes.subarray(this.from, this.to);
    return this.lent ? Buffer.from(view) : view;
  }

  /** For who keeps the message longer than he was told of it. */
  keep(): this {
    if (this.lent) {
      this.bytes = this.body;
      this.to -= this.from;
      this.from = 0;
      this.lent = false;
    }
    return this;
  }
}

/** Takes what a parser reads, in order. Must not throw. To stop the parser, return `false`. */
export interface Http1Sink<M extends Http1Message> {
  /**
   * Asked when a head is complete and before its body is read. `false` leaves the message unread, head included: the parser pauses at the
   * boundary before it, and `takeRest()` gives its bytes to whoever reads them instead.
   */
  head?(message: M): boolean | void;
  /** A complete message. `false` pauses the parser at the boundary after it. */
  message(message: M): boolean | void;
}

const endOfHead = Buffer.from("\r\n\r\n");
const LF = 10;
const CR = 13;

/**
 * Incremental HTTP/1.1 message framing for sockets on which replies do not pair with requests (mucp streams, wire spec §2 and §3). Bytes
 * may come one at a time, or many messages in one chunk. The first byte past a rule or a limit makes `push` throw a MicroError, PROTOCOL or
 * PAYLOAD_TOO_LARGE; the messages before it have been delivered, and from then on the parser only repeats that error.
 */
export abstract class Http1Parser<M extends Http1Message> {
  protected readonly limits: ResolvedLimits;
  protected minor = 1;
  readonly #sink: Http1Sink<M>;
  readonly #heads: HeadReader;
  /** An incomplete head, or what came while paused. */
  readonly #held = new Gathered();
  readonly #body = new Gathered();
  #state: "head" | "length" | "chunked" | "until-close" = "head";
  #message: M | undefined;
  #bodyLength = 0;
  /** Of the chunk at hand: where it ends, and whether it is lent. */
  #stop = 0;
  #lent = false;
  /** The last start line, with CRLF. */
  #line: Buffer = none;
  #chunked: ChunkedBody | undefined;
  #paused = false;
  #ended = false;
  #failure: unknown;

  constructor(sink: Http1Sink<M>, limits?: Http1Limits) {
    this.#sink = sink;
    this.limits = resolveLimits(limits);
    this.#heads = new HeadReader(this.limits);
  }

  /** Throws if `bytes` cannot be the beginning of a start line. */
  protected abstract sniff(bytes: Buffer): void;
  /** Reads a start line without its CRLF, sets `minor`. Not called for a line equal to the last one. */
  protected abstract start(line: string): void;
  protected abstract build(headers: HeaderList, close: boolean): M;
  /** Which body a message may have, apart from what its headers say. */
  protected abstract bodyOf(message: M): "none" | "framed" | "until-close";
  /** False for a message that is read and forgotten. */
  protected abstract wanted(message: M): boolean;

  /** True between two messages, with nothing of the next one read. */
  get idle(): boolean {
    return this.#state === "head" && this.#held.length === 0;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /**
   * Reads `chunk`, up to `end`. The caller must not write into it afterwards, unless it is `lent`. While paused it is kept; the owner should
   * pause its socket too.
   */
  push(chunk: Buffer, end: number = chunk.length, lent: boolean = false): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) throw malformed("bytes after the end of the connection");
    try {
      this.#stop = end;
      this.#lent = lent;
      if (this.#paused) this.#hold(chunk, 0);
      else this.#run(chunk);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Goes on after a pause, with the bytes that came meanwhile. */
  resume(): void {
    if (!this.#paused || this.#failure !== undefined) return;
    this.#paused = false;
    try {
      this.#run(this.#takeHeld());
      if (this.#ended && !this.#paused) this.#finish();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Gives away the bytes that are not read yet. Only while paused; they begin at a message boundary. */
  takeRest(): Buffer {
    return this.#paused ? this.#held.take() : none;
  }

  /** The peer has sent FIN. Completes a response that runs until then; throws PROTOCOL if any other message is incomplete. */
  end(): void {
    if (this.#ended || this.#failure !== undefined) return;
    this.#ended = true;
    if (this.#paused) return;
    try {
      this.#finish();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #fail(error: unknown): unknown {
    this.#failure = error;
    this.#held.take();
    this.#body.take();
    this.#message = undefined;
    this.#chunked = undefined;
    return error;
  }

  #finish(): void {
    if (this.#state === "until-close") this.#deliverBody(this.#body.take(), none, 0);
    else if (!this.idle) throw malformed("the connection ended inside a message");
  }

  // Not copied when nothing is held yet: an owner may pause after each of the many messages of one chunk.
  #hold(chunk: Buffer, at: number): void {
    const stop = Math.max(at, this.#stop);
    if (this.#held.length === 0 && !this.#lent) return this.#held.adopt(chunk.subarray(at, stop));
    const max = this.limits.maxHeadBytes + this.limits.maxBodyBytes;
    if (this.#held.length > max) throw tooLarge(`more than ${max} bytes while paused`);
    this.#held.append(chunk, at, stop);
  }

  #takeHeld(): Buffer {
    const bytes = this.#held.take();
    this.#stop = bytes.length;
    this.#lent = false;
    return bytes;
  }

  #run(chunk: Buffer): void {
    let at = 0;
    while (at < this.#stop && !this.#paused) {
      if (this.#state === "head") {
        if (this.#held.length > 0) {
          const from = Math.max(0, this.#held.length - 3);
          this.#held.append(chunk, at, this.#stop);
          if (this.#held.view().indexOf(endOfHead, from) < 0) return this.#checkPartial(from);
          chunk = this.#takeHeld();
          at = 0;
        }
        at = this.#begin(chunk, at);
      } else if (this.#state === "length") {
        const from = at;
        at = Math.min(this.#stop, at + this.#bodyLength - this.#body.length);
        this.#body.append(chunk, from, at, this.#bodyLength);
        if (this.#body.length === this.#bodyLength) this.#deliverBody(this.#body.take(), chunk, at);
      } else if (this.#state === "chunked") {
        const body = this.#chunked as ChunkedBody;
        at = body.feed(chunk, at, this.#stop);
        if (body.done) this.#deliverBody(body.take(), chunk, at);
      } else {
        if (this.#body.length + this.#stop - at > this.limits.maxBodyBytes) throw this.#bodyTooLarge();
        this.#body.append(chunk, at, this.#stop);
        return;
      }
    }
  }

  /** Reads the head at `chunk[at]` and as much of its body as needs no waiting; returns where it stopped. Holds an incomplete head. */
  #begin(chunk: Buffer, at: number): number {
    const fields = this.#startLine(chunk, at);
    const stop = this.#stop;
    const headers = fields < 0 ? undefined : this.#heads.read(chunk, fields, stop);
    if (headers === undefined) {
      this.#held.append(chunk, at, stop);
      this.#checkPartial(0);
      return stop;
    }
    const begin = at;
    at = this.#heads.next;
    if (at - begin > this.limits.maxHeadBytes) throw this.#headTooLarge();
    const framing = this.#heads.framing;
    if (framing.chunked && this.minor === 0) throw malformed("Transfer-Encoding in HTTP/1.0");
    const message = this.build(headers, closes(framing.connection, this.minor));
    if (this.#sink.head !== undefined && this.wanted(message) && this.#sink.head(message) === false) {
      this.#paused = true;
      this.#hold(chunk, begin);
      return stop;
    }
    this.#message = message;
    const rule = this.bodyOf(message);
    if (rule !== "none" && framing.chunked) {
      this.#chunked = new ChunkedBody(this.limits);
      this.#state = "chunked";
    } else if (rule !== "none" && framing.length > 0) {
      if (framing.length > this.limits.maxBodyBytes) throw this.#bodyTooLarge();
      const end = at + framing.length;
      if (end <= stop) {
        message.bytes = chunk;
        message.from = at;
        message.to = end;
        message.lent = this.#lent;
        this.#deliver(chunk, end);
        return end;
      }
      this.#bodyLength = framing.length;
      this.#state = "length";
    } else if (rule === "until-close" && framing.length < 0) this.#state = "until-close";
    else this.#deliver(chunk, at);
    return at;
  }

  /** Reads the start line; returns where the headers begin, or -1 if it is incomplete. The line before is not parsed again. */
  #startLine(chunk: Buffer, at: number): number {
    const known = this.#line;
    let i = 0;
    const most = Math.min(known.length, this.#stop - at);
    while (i < most && known[i] === chunk[at + i]) i++;
    if (i === known.length && i > 0) return at + i;
    const lf = chunk.indexOf(LF, at);
    if (lf < 0 || lf >= this.#stop) return -1;
    if (lf - at > this.limits.maxStartLineBytes + 1) throw this.#lineTooLong();
    if (chunk[lf - 1] !== CR || lf === at) throw malformed("bare LF in a head");
    this.start(chunk.toString("latin1", at, lf - 1));
    this.#line = Buffer.from(chunk.subarray(at, lf + 1));
    return lf + 1;
  }

  #deliverBody(body: Buffer, chunk: Buffer, at: number): void {
    const message = this.#message as M;
    message.bytes = body;
    message.to = body.length;
    this.#deliver(chunk, at);
  }

  /** The message is complete; `chunk[at]` is the first byte after it. */
  #deliver(chunk: Buffer, at: number): void {
    const message = this.#message as M;
    this.#message = undefined;
    this.#chunked = undefined;
    this.#state = "head";
    if (!this.wanted(message)) return;
    if (this.#sink.message(message) !== false) return;
    this.#paused = true;
    this.#hold(chunk, at);
  }

  // What cannot become a head is refused at once, not when its end fails to come.
  #checkPartial(from: number): void {
    const bytes = this.#held.view();
    if (bytes.length > this.limits.maxHeadBytes) throw this.#headTooLarge();
    for (let i = bytes.indexOf(LF, from); i >= 0; i = bytes.indexOf(LF, i + 1))
      if (i === 0 || bytes[i - 1] !== CR) throw malformed("bare LF in a head");
    if (from > this.limits.maxStartLineBytes + 2) return;
    this.sniff(bytes);
    const line = bytes.indexOf(LF);
    if ((line < 0 ? bytes.length : line - 1) > this.limits.maxStartLineBytes + 1) throw this.#lineTooLong();
  }

  #headTooLarge(): Error {
    return tooLarge(`head above ${this.limits.maxHeadBytes} bytes`);
  }

  #bodyTooLarge(): Error {
    return tooLarge(`body above ${this.limits.maxBodyBytes} bytes`);
  }

  #lineTooLong(): Error {
    return malformed(`start line above ${this.limits.maxStartLineBytes} bytes`);
  }
}

function closes(connection: string, minor: number): boolean {
  if (connection === "") return minor === 0;
  if (connection === "keep-alive") return false;
  const options = connection.toLowerCase().split(",");
  const has = (name: string): boolean => options.some((option) => option.trim() === name);
  return has("close") || (minor === 0 && !has("keep-alive"));
}
