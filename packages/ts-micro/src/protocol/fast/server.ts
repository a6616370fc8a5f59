import { channel } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { Cancellation, type Kind } from "../../context.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { endName } from "../../internal/net-address.ts";
import { Inlet } from "../../internal/inlet.ts";
import { tickTime } from "../../internal/tick.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { Body, CallTarget, IncomingCall, Route, ServedCall } from "../../protocol.ts";
import {
  Flag,
  Frame,
  broken,
  defaults,
  kinds,
  lastId,
  longestEntry,
  preface,
  requestSize,
  version,
} from "../../wire/fast/frame.ts";
import { checkMetadata, decodeMetadata, decodeRoute } from "../../wire/fast/text.ts";
import { H } from "../../wire/headers.ts";
import { uint32, utf8Slice } from "../../wire/utf8.ts";
import { sayAdded, sayBlock } from "./added.ts";
import { Cancellable } from "../common/cancellable.ts";
import type { DirectHandler } from "./by-unary.ts";
import { Link, wireId, type LinkOptions } from "./link.ts";
import { Pending } from "./pending.ts";
import { Stream, failureFrame, tooLarge } from "./stream.ts";

const serverId = "go.micro.server";
/** Calls and streams of one connection at once. */
const mostActive = 65_536;
/** Handlers of one connection that go on after their caller gave up; with more it is told to leave. */
const mostOutlived = 4096;
/** How long a client that was told to go may take to close, in milliseconds. */
const goodbye = 1000;

/** Of each connection that is ended because of what its client did. */
const dropped = channel("ts-micro:fast:dropped");

interface Served {
  readonly route: Route;
  readonly target: CallTarget;
  /** Why no call, or no unary one, can go there. */
  readonly unsupported: MicroError | undefined;
  readonly mistaken: MicroError | undefined;
}

/** What the acceptor is told of its links. */
export interface ServerHome {
  readonly options: LinkOptions;
  readonly calls: DirectHandler;
  gone(link: ServerLink): void;
  watch(deadline: number): void;
}

/** The server's end of a connection. */
export class ServerLink extends Link {
  readonly calls: DirectHandler;
  readonly active: Pending<FastCall> = new Pending<FastCall>();
  protected readonly yields = true;
  protected readonly hasty = true;
  readonly #home: ServerHome;
  readonly #routes: (Served | undefined)[] = [];
  readonly #blocks: (string | undefined)[] = [];
  #newest = 0;
  /** Requests above it are not served. */
  #last = lastId;
  #leaving = false;
  #outlived = 0;
  /** For the client to close. */
  #waits = false;
  /** Bytes waited for it at the last look, and some had left at that time. */
  #owed = false;
  #moved = 0;

  constructor(socket: Socket, home: ServerHome) {
    super(socket, home.options, endName(socket.remoteAddress, socket.remotePort));
    this.calls = home.calls;
    this.#home = home;
    home.watch(this.deadline);
  }

  protected get newest(): number {
    return this.#newest;
  }

  protected get attentive(): boolean {
    return true;
  }

  /** Says its preface, then reads. */
  begin(bytes: Buffer): void {
    this.socket.write(preface(version));
    const inlet = new Inlet();
    inlet.attach(this.socket);
    this.open(bytes, inlet);
  }

  /** Serves what it has seen, and nothing new; closes when that is done. */
  drain(why: string = ""): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#last = this.#newest;
    this.say(Frame.goaway, 0, this.#last, why);
    this.idle();
  }

  /** A handler goes on after its call, or no longer. */
  outlives(goesOn: boolean): void {
    this.#outlived += goesOn ? 1 : -1;
  }

  /** Too many handlers go on for another request. Looked at then: those that heed their signal end in the turn in which many are cancelled. */
  #overrun(): void {
    const why = `${mostOutlived} handlers go on after their calls were given up`;
    this.#dropped(why);
    this.drain(why);
  }

  protected override offend(error: MicroError): void {
    this.#dropped(error.detail);
    super.offend(error);
  }

  #dropped(reason: string): void {
    const { local, remote } = this;
    if (dropped.hasSubscribers) dropped.publish({ local, remote, reason });
  }

  /** Something has ended. */
  idle(): void {
    if (!this.#leaving || this.#waits || this.closed || this.active.size > 0 || this.streams.size > 0) return;
    // The client closes: an end of ours would overtake, as a reset, what it has just sent and what it has not read.
    this.#waits = true;
    this.#moved = this.options.clock.now();
    this.deadline = this.options.clock.now() + goodbye;
    this.#home.watch(this.deadline);
  }

  answered(call: FastCall): void {
    if (this.active.take(call.id) === undefined) return;
    if (this.#leaving) this.idle();
  }

  oversize(type: number, flags: number, id: number, length: number): void {
    if (type === Frame.request && (flags & Flag.kind) === 0 && id > this.#newest && id <= lastId) {
      this.#newest = id;
      if (this.#leaving || (flags & Flag.oneway) !== 0) return;
      const { flags: failed, text } = failureFrame(tooLarge(this.options.maxBody), this);
      this.say(Frame.reply, failed, id, text);
    } else if (type === Frame.message && this.streams.has(id)) {
      this.streams.get(id)?.cancel(tooLarge(this.options.maxBody));
    } else if (type === Frame.message && id <= this.#newest) {
      // Of a stream that is over.
    } else this.offend(broken(`a frame of ${length} bytes`));
  }

  override expire(): void {
    if (!this.#waits) super.expire();
    else if (this.#reads()) this.deadline = this.options.clock.now() + goodbye;
    else this.close("the server is stopping");
    if (!this.closed) this.#home.watch(this.deadline);
  }

  /** Whether the client, which was told to go, goes on reading what it is owed, or has just done so. */
  #reads(): boolean {
    const { clock, pingTimeout } = this.options;
    const owed = this.#owed;
    this.#owed = this.socket.writableLength > 0;
    if (this.moved()) this.#moved = clock.now();
    return this.#owed ? clock.now() - this.#moved < pingTimeout : owed;
  }

  override frame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (type === Frame.request) this.#request(flags, id, bytes, from, to);
    else super.frame(type, flags, id, bytes, from, to);
  }

  protected received(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    switch (type) {
      case Frame.define:
        if (to - from > longestEntry) throw broken(`an entry of ${to - from} bytes`);
        this.#define(flags, id, utf8Slice(bytes, from, to));
        return;
      case Frame.end:
        (this.streams.get(id) as ServerStream | undefined)?.peerEnded();
        return;
      case Frame.cancel: {
        const error = errors.cancelled(wireId, "the caller gave up");
        this.active.get(id)?.cancel(error);
        (this.streams.get(id) as ServerStream | undefined)?.cancelled(error);
        return;
      }
      case Frame.goaway:
        if ((flags & Flag.error) !== 0) this.close(`the client: ${utf8Slice(bytes, from, to)}`);
        return;
      default:
        // Of a later version, which may say more than is understood here.
        if (type === Frame.reply) throw broken("a reply from a client");
    }
  }

  protected lost(error: MicroError): void {
    // Who waits for no reply does not give up by leaving.
    for (const [, call] of this.active.entries()) if (!call.oneway) call.cancel(error);
    this.#home.gone(this);
  }

  #define(flags: number, number: number, block: string): void {
    const metadata = (flags & Flag.metadata) !== 0;
    if (number === 0 || number > (metadata ? defaults.metadata : defaults.routes))
      throw broken(`number ${number} of a table`);
    if (metadata) {
      this.#blocks[number] = block;
      return;
    }
    const route = decodeRoute(block);
    if (route === undefined) throw broken("a route that does not decode");
    const { endpoint, contentType } = route;
    const target = this.calls.target(route);
    this.#routes[number] = {
      route,
      target,
      unsupported: this.calls.supports(contentType)
        ? undefined
        : errors.unsupported(serverId, `unsupported Content-Type: ${contentType}`),
      mistaken:
        target.kind === undefined || target.kind === "unary"
          ? undefined
          : errors.methodNotAllowed(serverId, `${endpoint} is a ${target.kind} stream: open it as one`),
    };
  }

  #request(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id <= this.#newest || id > lastId) throw broken(`request ${id} after ${this.#newest}`);
    if (to - from < requestSize) throw broken("a request without its head");
    if (this.#outlived > mostOutlived && !this.#leaving) this.#overrun();
    this.#newest = id;
    // On its way when the client was told to go elsewhere, where it will take it.
    if (this.#leaving && id > this.#last) return;
    const number = ((bytes[from] as number) << 8) | (bytes[from + 1] as number);
    const served = this.#routes[number];
    if (served === undefined) throw broken(`route ${number}, which was not defined`);
    let block: string | undefined;
    let body = from + requestSize;
    const told = uint32(bytes, from + 2);
    if ((flags & Flag.inline) !== 0) {
      if (told > to - body) throw broken("metadata longer than their frame");
      checkMetadata(bytes, body, body + told);
      block = utf8Slice(bytes, body, body + told);
      body += told;
    } else if (told !== 0) {
      block = this.#blocks[told];
      if (block === undefined) throw broken(`metadata ${told}, which were not defined`);
    }
    const timeout = uint32(bytes, from + 6);
    const deadline = timeout === 0 ? Infinity : tickTime(this.options.clock) + timeout;
    const kind = flags & Flag.kind;
    const listens = (flags & Flag.listens) !== 0;
    if (kind !== 0) return this.#open(id, kinds[kind] as Kind, served, block, deadline, listens);
    const call = new FastCall(this, id, served.route, block, deadline, (flags & Flag.oneway) !== 0, listens);
    const wrong = served.unsupported ?? served.mistaken;
    if (wrong !== undefined) call.fail(wrong);
    else if (this.active.size >= mostActive) call.fail(busy());
    else this.calls.direct(call, served.target, bytes, body, to);
  }

  #open(
    id: number,
    kind: Kind,
    { route, target, unsupported }: Served,
    block: string | undefined,
    deadline: number,
    listens: boolean,
  ): void {
    const stream = new ServerStream(this, id, listens);
    if (this.streams.size >= mostActive) return stream.finishWith(busy());
    if (unsupported !== undefined) return stream.finishWith(unsupported);
    if (target.kind === "unary")
      return stream.finishWith(
        errors.methodNotAllowed(serverId, `${route.endpoint} is unary: call it without a stream`),
      );
    this.streams.set(id, stream);
    const call: IncomingCall = {
      head: { ...route, kind: target.kind ?? kind, deadline, metadata: metadataOf(block, this), id: `fast-${id}` },
      local: this.local,
      remote: this.remote,
      cancellation: stream.cancellation,
      response: stream.response,
      retries: true,
      outlives: (goesOn) => this.outlives(goesOn),
    };
    this.calls.stream(call, stream).then(
      (error) => stream.finishWith(error),
      (error: unknown) => stream.finishWith(fromUnknown(error, wireId)),
    );
  }
}

function busy(): MicroError {
  const detail = `${mostActive} calls are under way on this connection, which is the limit`;
  return new MicroError({ id: wireId, code: "RESOURCE_EXHAUSTED", detail, refused: true });
}

function metadataOf(block: string | undefined, link: ServerLink): Metadata {
  const metadata = block === undefined ? new Metadata() : Metadata.received(decodeMetadata(block));
  return metadata.set(H.local, link.local).set(H.remote, link.remote);
}

/** A unary call under way at the server. */
export class FastCall extends Cancellable implements ServedCall {
  // Set by the constructor alone, as in its base.
  declare readonly id: number;
  declare readonly deadline: number;
  declare readonly oneway: boolean;
  declare private readonly listens: boolean;
  declare private given: ResponseMetadata | undefined;
  declare private readonly link: ServerLink;
  declare private readonly route: Route;
  declare private readonly block: string | undefined;
  declare private made: Metadata | undefined;

  constructor(
    link: ServerLink,
    id: number,
    route: Route,
    block: string | undefined,
    deadline: number,
    oneway: boolean,
    listens: boolean,
  ) {
    super();
    this.link = link;
    this.id = id;
    this.route = route;
    this.block = block;
    this.deadline = deadline;
    this.oneway = oneway;
    this.listens = listens;
    this.given = undefined;
    this.made = undefined;
  }

  /** Who waits for no reply does not hear of a refusal. */
  get retries(): boolean {
    return !this.oneway;
  }

  get service(): string {
    return this.route.service;
  }

  get endpoint(): string {
    return this.route.endpoint;
  }

  get contentType(): string {
    return this.route.contentType;
  }

  get local(): string {
    return this.link.local;
  }

  get remote(): string {
    return this.link.remote;
  }

  get metadata(): Metadata {
    return (this.made ??= metadataOf(this.block, this.link));
  }

  get response(): ResponseMetadata {
    return (this.given ??= new ResponseMetadata());
  }

  override watch(watcher: Parameters<ServedCall["watch"]>[0]): void {
    super.watch(watcher);
    this.link.active.add(this.id, this);
  }

  outlives(goesOn: boolean): void {
    this.link.outlives(goesOn);
  }

  reply(body: Body): void {
    const link = this.link;
    link.answered(this);
    if (this.oneway || link.closed) return;
    if (!link.fits(body)) return this.fail(tooLarge(link.maxBody));
    if (this.listens && this.given !== undefined) sayAdded(link, this.id, this.given);
    link.writer.frame(Frame.reply, 0, this.id, body);
    link.dirty();
  }

  fail(error: MicroError): void {
    const link = this.link;
    link.answered(this);
    if (this.oneway || link.closed) return;
    if (this.listens && this.given !== undefined) sayAdded(link, this.id, this.given);
    const { flags, text } = failureFrame(error, link);
    link.say(Frame.reply, flags, this.id, text);
  }
}

/** A stream at the server. Its end is the server's to say. */
class ServerStream extends Stream {
  readonly cancellation: Cancellation = new Cancellation();
  readonly response: ResponseMetadata = new ResponseMetadata();
  readonly #listens: boolean;
  #begun: boolean;

  constructor(link: ServerLink, id: number, listens: boolean) {
    super(link, id);
    this.#listens = listens;
    this.#begun = !listens;
  }

  override post(body: Body): Promise<void> | undefined {
    if (!this.#begun && !this.over) this.#begin();
    return super.post(body);
  }

  end(): void {}

  cancel(reason: MicroError): void {
    this.finishWith(reason);
    this.cancelled(reason);
  }

  peerEnded(): void {
    this.finish(undefined);
  }

  cancelled(reason: MicroError): void {
    this.abandon(reason);
    this.cancellation.cancel(reason);
  }

  override lost(error: MicroError): void {
    super.lost(error);
    this.cancellation.cancel(error);
  }

  /** Says how it ended, once, behind what waits to be sent. */
  finishWith(error: MicroError | undefined): void {
    if (error !== undefined) this.#say(error);
    else this.afterSends(() => this.#say(undefined));
  }

  #begin(): void {
    if (!this.#begun) sayBlock(this.link, this.id, 0, this.response.givenHeader);
    this.#begun = true;
  }

  #say(error: MicroError | undefined): void {
    if (!this.close()) return;
    this.#begin();
    if (this.#listens) sayBlock(this.link, this.id, Flag.trailer, this.response.givenTrailer);
    if (error === undefined) this.link.say(Frame.end, 0, this.id, "");
    else {
      const { flags, text } = failureFrame(error, this.link);
      this.link.say(Frame.end, flags, this.id, text);
    }
    this.abandon(error ?? errors.cancelled(wireId, "the stream is over"));
    this.link.streams.delete(this.id);
    (this.link as ServerLink).idle();
  }
}
