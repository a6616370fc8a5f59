import {
  http2Codes,
  type Http2End,
  type Http2AnswerEvents,
  type Http2Headers,
  type Http2Request,
  type Http2Session,
} from "../../backends/http2.ts";
import type { Cancellation } from "../../context.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { tickTime } from "../../internal/tick.ts";
import type { OutgoingCall } from "../../protocol.ts";
import { FrameReader, frame, frameLength, wholeFrame } from "../../wire/grpc/frame.ts";
import { gzipFrame, unpack } from "../../wire/grpc/gzip.ts";
import { decodeStatus } from "../../wire/grpc/status.ts";
import { undialled } from "../common/undialled.ts";
import { clientId, closedPeer, tooLate } from "../mucp/owner.ts";
import { addedIn, headFault, lostError, unsentError } from "./answer.ts";
import type { Entry, Owner } from "./owner.ts";
import { onewayAgent } from "./request.ts";

/** One request and its reply on a stream of the shared connection. */
export class UnaryCall implements Entry, Http2AnswerEvents {
  // Set by the constructor alone: fields that a class defines cost a step each, and there is one of these for every call.
  declare readonly deadline: number;
  declare private readonly owner: Owner;
  declare private readonly call: OutgoingCall;
  declare private request: Http2Request | undefined;
  declare private encoding: string | undefined;
  declare private reader: FrameReader | undefined;
  declare private message: Buffer | undefined;
  declare private status: Http2Headers | undefined;
  declare private complete: boolean;
  declare private over: boolean;
  /** Its caller has its outcome. */
  declare private told: boolean;

  constructor(owner: Owner, call: OutgoingCall) {
    this.deadline = call.due;
    this.owner = owner;
    this.call = call;
    this.request = undefined;
    this.encoding = undefined;
    this.reader = undefined;
    this.message = undefined;
    this.status = undefined;
    this.complete = false;
    this.over = false;
    this.told = false;
  }

  link(cancellation: Cancellation): void {
    const unlink = cancellation.onCancel((reason) => this.#give(reason));
    if (this.over || this.told) unlink();
    else this.call.unlink = unlink;
  }

  begin(session: Http2Session): void {
    const { settings, heads } = this.owner;
    const { route, due, sent } = this.call;
    let framed: Buffer;
    try {
      const body = this.call.body();
      const length = frameLength(body);
      if (length > settings.maxMessage) return this.#give(oversized(length, settings.maxMessage));
      framed = settings.gzip ? gzipFrame(body) : frame(body);
    } catch (error) {
      return this.#give(fromUnknown(error, clientId));
    }
    try {
      const head = heads.of(route, "unary", due - tickTime(settings.clock), sent);
      this.request = session.open(this.call.oneway ? { ...head, "user-agent": onewayAgent } : head, this);
    } catch (error) {
      return this.#give(unsentError(this.owner, error));
    }
    if (this.call.oneway) this.request.end(framed, () => this.#written());
    else this.request.end(framed);
  }

  undialled(error: unknown): void {
    this.#give(undialled(error, this.owner.node));
  }

  /** The deadline has passed. */
  expire(): void {
    this.#give(tooLate(this.call.route, this.owner.node, this.request === undefined));
  }

  /** The peer lets go of everything. */
  abandon(): void {
    this.#give(closedPeer(this.owner.node, this.request === undefined));
  }

  head(headers: Http2Headers, last: boolean): void {
    const fault = headFault(this.owner, headers);
    if (fault !== undefined) return this.#give(fault);
    this.encoding = headers["grpc-encoding"];
    if (last) this.trailers(headers);
    else if (this.call.listener !== undefined && !this.over) this.call.listener.header(addedIn(headers));
  }

  data(chunk: Buffer): void {
    if (this.over) return;
    const most = this.owner.settings.maxMessage;
    const whole = this.reader === undefined && this.message === undefined ? wholeFrame(chunk) : undefined;
    if (whole !== undefined && whole.length <= most) this.message = whole;
    else
      try {
        this.reader ??= new FrameReader(most, (body, flags) => this.#take(body, flags));
        this.reader.push(chunk);
      } catch (error) {
        this.#give(fromUnknown(error, clientId));
      }
  }

  trailers(headers: Http2Headers): void {
    this.status = headers;
    if (this.complete) this.#settle();
  }

  ended(): void {
    this.complete = true;
    if (this.status !== undefined) this.#settle();
  }

  drain(): void {}

  closed(how: Http2End, code: number): void {
    if (this.over) return;
    if (this.status !== undefined) this.#settle();
    else this.#give(lostError(this.owner, how, code));
  }

  #take(body: Buffer, flags: number): void {
    if (this.message !== undefined)
      throw errors.protocol(clientId, `${this.#where()}: more than one reply to a unary call`);
    this.message = unpack(body, flags, this.encoding, this.owner.settings.maxMessage);
  }

  /** Everything has come. */
  #settle(): void {
    if (this.over) return;
    this.call.listener?.trailer(addedIn(this.status as Http2Headers));
    const error = decodeStatus(this.status as Http2Headers);
    if (error !== undefined) return this.#give(error);
    if (this.message === undefined)
      return this.#give(errors.protocol(clientId, `${this.#where()}: no reply in the answer`));
    this.#finish();
    this.#replied(this.message);
  }

  /** Nobody waits for the reply of a oneway call; the stream does, until it comes. */
  #written(): void {
    if (this.over) return;
    this.call.unlink?.();
    this.call.unlink = undefined;
    this.#replied(nothing);
  }

  #replied(message: Buffer): void {
    if (this.told) return;
    this.told = true;
    this.call.replied(message, 0, message.length);
  }

  /** Ends it without a reply. */
  #give(error: MicroError): void {
    if (this.over) return;
    this.#finish();
    if (!this.complete) this.request?.reset(http2Codes.cancel);
    if (!this.told) this.call.failed(error);
  }

  #finish(): void {
    this.over = true;
    this.call.unlink?.();
    this.owner.settled(this);
  }

  #where(): string {
    return `${this.owner.node.address} ${this.call.route.endpoint}`;
  }
}

const nothing = Buffer.alloc(0);

/** A message that is not sent, to this node or another. */
export function oversized(length: number, most: number): MicroError {
  const detail = `message of ${length} bytes is larger than the limit of ${most}`;
  return errors.payloadTooLarge(clientId, detail);
}
