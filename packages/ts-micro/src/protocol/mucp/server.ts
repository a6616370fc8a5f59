import type { Clock } from "../../clock.ts";
import { Cancellation, type Kind } from "../../context.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import { tickTime } from "../../internal/tick.ts";
import type { Body, CallHandler, IncomingCall, Reply } from "../../protocol.ts";
import type { Connection, Message, Receiver } from "../../transport.ts";
import { errorText } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { headerRecord, type HeaderList } from "../../wire/http1/headers.ts";
import { DirectCall, formOf, type DirectHandler, type Form } from "./direct.ts";
import { deadlineOf, echo, kindHeader, lookup, type Header } from "./headers.ts";
import { originOf, unaryError, unaryReply, unsupportedReply, type Origin } from "./reply.ts";
import { ServerStream } from "./server-stream.ts";

const id = "go.micro.server";
/** Calls and streams that run at once on one connection. */
const mostActive = 128;
/** Messages, and bytes of them, that wait for their turn before the connection is paused. */
const mostWaiting = 32;
const mostWaitingBytes = 1 << 20;
/** Ended streams that are remembered, so that a late message does not open them anew. */
const mostFinished = 1024;
/** Longer than any real id, in characters; the bytes that a hostile peer makes us remember are bounded by it. */
const longestId = 256;

interface Cancellable {
  cancel(reason: MicroError): void;
}

interface Arrived {
  readonly message: Message;
  /** Requests with the same key are served one after another: their replies could not be told apart. */
  readonly key: string;
  readonly at: number;
}

/**
 * The server's end of one connection: takes messages apart into calls, streams and events, and gives each its replies
 * (v4:server/rpc_server.go ServeConn, wire spec §1.4, §3).
 */
export class ServerConnection implements Receiver {
  readonly #connection: Connection;
  readonly #calls: CallHandler;
  readonly #clock: Clock;
  readonly #streams = new Map<string, ServerStream>();
  readonly #finished = new Set<string>();
  /** Calls by key; undefined for one whose handler is done and whose reply is leaving. */
  readonly #running = new Map<string, Cancellable | undefined>();
  readonly #direct: DirectHandler | undefined;
  /** Of the requests that came last. */
  #form: Form | undefined;
  #waiting: Arrived[] = [];
  #waitingBytes = 0;
  #paused = 0;
  #held = false;
  #lost: MicroError | undefined;

  constructor(connection: Connection, calls: CallHandler, clock: Clock) {
    this.#connection = connection;
    this.#calls = calls;
    if (calls.direct !== undefined && calls.target !== undefined) this.#direct = calls as DirectHandler;
    this.#clock = clock;
  }

  lines(headers: HeaderList, bytes: Buffer, from: number, to: number): boolean {
    const form = this.#form;
    // What comes in a new form goes the long way once.
    if (form?.fits(headers) !== true) {
      if (this.#direct !== undefined && this.#connection.sendLines !== undefined)
        this.#form = formOf(headers, headerRecord(headers), this.#direct);
      return false;
    }
    const stream = form.stream(headers);
    // Whatever else is known by this id comes first.
    if (this.#streams.has(stream) || !this.#free(stream) || this.#finished.has(stream)) return false;
    const call = new DirectCall(this, form, headers, stream, tickTime(this.#clock));
    this.#direct?.direct(call, form.target, bytes, from, to);
    return true;
  }

  get local(): string {
    return this.#connection.local;
  }

  get remote(): string {
    return this.#connection.remote;
  }

  /** Its handler goes on. */
  watched(call: DirectCall): void {
    this.#started(call.stream, call);
  }

  answer(call: DirectCall, lines: readonly string[], body: Body): void {
    const { stream, isWatched } = call;
    if (isWatched) this.#running.set(stream, undefined);
    if (this.#lost === undefined) {
      try {
        this.#connection.sendLines?.(lines, body);
      } catch (error) {
        const failure = fromUnknown(error, id);
        if (failure.code !== "CONNECTION_LOST") return this.refuse(call, failure);
      }
    }
    if (isWatched) this.#ended(stream);
  }

  refuse(call: DirectCall, error: MicroError): void {
    const { stream, isWatched } = call;
    if (isWatched) this.#running.set(stream, undefined);
    void this.#post(unaryError(call.origin, error, empty, call.given)).then(() => {
      if (isWatched) this.#ended(stream);
    });
  }

  message(message: Message): void {
    const stream = lookup(message.header, H.stream);
    const open = stream === "" ? undefined : this.#streams.get(stream);
    // A leaked topic does not take a stream's message away from it.
    if (open !== undefined) return open.deliver(message);
    const arrived: Arrived = { message, key: stream, at: this.#clock.now() };
    if (this.#free(stream)) this.#begin(arrived);
    else this.#wait(arrived);
    if (this.#running.size === 0) this.#connection.busy(false);
  }

  closed(error: MicroError): void {
    this.#lost = error;
    this.#waiting = [];
    for (const stream of this.#streams.values()) stream.lost(error);
    for (const cancellation of this.#running.values()) cancellation?.cancel(error);
  }

  #free(key: string): boolean {
    return this.#running.size < mostActive && !this.#running.has(key);
  }

  #wait(arrived: Arrived): void {
    this.#waiting.push(arrived);
    this.#waitingBytes += arrived.message.body.length;
    if (!this.#held && (this.#waiting.length >= mostWaiting || this.#waitingBytes >= mostWaitingBytes)) {
      this.#held = true;
      this.#pause();
    }
  }

  /** A call has ended: what waits may have its turn, in order. */
  #next(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const arrived of waiting) {
      const open = arrived.key === "" ? undefined : this.#streams.get(arrived.key);
      if (open !== undefined) open.deliver(arrived.message);
      else if (this.#free(arrived.key)) this.#begin(arrived);
      else {
        this.#waiting.push(arrived);
        this.#waitingBytes += arrived.message.body.length;
      }
    }
    if (this.#held && this.#waiting.length < mostWaiting && this.#waitingBytes < mostWaitingBytes) {
      this.#held = false;
      this.#resume();
    }
    if (this.#running.size === 0) this.#connection.busy(false);
  }

  #pause = (): void => {
    if (this.#paused++ === 0) this.#connection.pause();
  };

  #resume = (): void => {
    if (--this.#paused === 0) this.#connection.resume();
  };

  #begin(arrived: Arrived): void {
    const { header } = arrived.message;
    if (header[H.topic]) return void this.#event(arrived);
    const origin = originOf(header, arrived.key);
    // Its stream is over, or was never there.
    if (arrived.key !== "" && (header[H.error] || this.#finished.has(arrived.key))) return;
    const kind = origin.endpoint === "" ? undefined : this.#calls.kindOf(origin.endpoint);
    const streams = kind !== undefined && kind !== "unary";
    const supported = this.#calls.supports(origin.codecType);
    const wrong = mistaken(origin, kind, header);
    // What follows a stream that was turned away must not be taken for requests.
    if (origin.retries && header[kindHeader] !== undefined && !(streams && supported)) this.#finish(arrived.key);
    if (!supported) this.#answer(arrived.key, unsupportedReply(origin.contentType));
    else if (wrong !== undefined) this.#answer(arrived.key, unaryError(origin, wrong, empty));
    else if (streams) void this.#stream(arrived, origin, kind);
    else void this.#unary(arrived, origin);
  }

  async #event(arrived: Arrived): Promise<void> {
    const { header, body } = arrived.message;
    this.#started(arrived.key, undefined);
    const reply = { header: echo(header), body: empty };
    let failure: MicroError | undefined;
    try {
      failure = await this.#calls.message({ topic: header[H.topic] as string, header, body });
    } catch (error) {
      failure = fromUnknown(error, id);
    }
    if (failure !== undefined) reply.header[H.error] = errorText(failure);
    await this.#post(reply);
    this.#ended(arrived.key);
  }

  async #unary(arrived: Arrived, origin: Origin): Promise<void> {
    const { key, message } = arrived;
    const cancellation = new Cancellation();
    this.#started(key, cancellation);
    const response = new ResponseMetadata();
    let reply: Reply;
    try {
      const call = this.#incoming(arrived, origin, "unary", cancellation, response);
      reply = await this.#calls.unary(call, message.body);
    } catch (error) {
      reply = { body: empty, error: fromUnknown(error, id) };
    }
    this.#running.set(key, undefined);
    const { body, error } = reply;
    try {
      await this.#connection.send(
        error === undefined ? unaryReply(origin, body, response) : unaryError(origin, error, body, response),
      );
    } catch (failure) {
      // Too large, say: then the caller has to hear that instead.
      await this.#post(unaryError(origin, fromUnknown(failure, id), empty));
    }
    this.#ended(key);
  }

  async #stream(arrived: Arrived, origin: Origin, kind: Kind): Promise<void> {
    const stream = new ServerStream(this.#connection, origin, this.#pause, this.#resume);
    const { cancellation, response } = stream;
    this.#started(arrived.key, cancellation);
    this.#streams.set(arrived.key, stream);
    let failure: MicroError | undefined;
    try {
      failure = await this.#calls.stream(this.#incoming(arrived, origin, kind, cancellation, response), stream);
    } catch (error) {
      failure = fromUnknown(error, id);
    }
    this.#running.set(arrived.key, undefined);
    this.#streams.delete(arrived.key);
    this.#finish(arrived.key);
    await stream.finish(failure);
    this.#ended(arrived.key);
  }

  #finish(key: string): void {
    if (key.length > longestId) return;
    if (this.#finished.size >= mostFinished) {
      const [oldest] = this.#finished;
      this.#finished.delete(oldest as string);
    }
    // A copy: the id is a slice of its message's whole head, which it would keep.
    this.#finished.add(Buffer.from(key).toString());
  }

  #incoming(
    arrived: Arrived,
    origin: Origin,
    kind: Kind,
    cancellation: Cancellation,
    response: ResponseMetadata,
  ): IncomingCall {
    const { header } = arrived.message;
    const { local, remote } = this.#connection;
    const { service, endpoint, codecType, retries } = origin;
    const metadata = Metadata.received(header).set(H.local, local).set(H.remote, remote);
    const deadline = deadlineOf(header, arrived.at);
    const head = { service, endpoint, contentType: codecType, kind, deadline, metadata, id: origin.id };
    return { head, local, remote, cancellation, response, retries };
  }

  /** A reply without a call. */
  #answer(key: string, reply: Message): void {
    this.#started(key, undefined);
    void this.#post(reply).then(() => this.#ended(key));
  }

  async #post(reply: Message): Promise<void> {
    try {
      await this.#connection.send(reply);
    } catch (error) {
      // A caller that cannot be answered must not wait for its deadline.
      if (fromUnknown(error).code !== "CONNECTION_LOST") this.#connection.destroy();
    }
  }

  #started(key: string, cancellation: Cancellable | undefined): void {
    if (this.#running.size === 0) this.#connection.busy(true);
    this.#running.set(key, cancellation);
  }

  #ended(key: string): void {
    this.#running.delete(key);
    if (this.#lost === undefined) this.#next();
  }
}

const empty = new Uint8Array(0);

/** A call of the wrong kind, which would wait for ever otherwise. Only ids of ours tell (see `kindHeader`), and a missing stream id. */
function mistaken(origin: Origin, kind: Kind | undefined, header: Header): MicroError | undefined {
  const { endpoint, retries } = origin;
  const opens = header[kindHeader] !== undefined;
  if (kind === undefined) return undefined;
  if (kind === "unary")
    return retries && opens ? errors.methodNotAllowed(id, `${endpoint} is unary: call it without a stream`) : undefined;
  if (origin.stream !== "" && (!retries || opens)) return undefined;
  return errors.methodNotAllowed(id, `${endpoint} is a ${kind} stream: open it as one`);
}
