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
import type { CallHead, Reply } from "../../protocol.ts";
import { FrameReader, frame, wholeFrame } from "../../wire/grpc/frame.ts";
import { gzipFrame, unpack } from "../../wire/grpc/gzip.ts";
import { decodeStatus } from "../../wire/grpc/status.ts";
import { clientId, closedPeer, tooLate } from "../mucp/owner.ts";
import { headFault, lostError, unsentError } from "./answer.ts";
import type { Entry, Owner } from "./owner.ts";

/** One request and its reply on a stream of the shared connection. */
export class UnaryCall implements Entry, Http2AnswerEvents {
  readonly deadline: number;
  readonly reply: Promise<Reply>;
  readonly #owner: Owner;
  readonly #head: CallHead;
  readonly #body: Uint8Array;
  #resolve!: (reply: Reply) => void;
  #reject!: (error: MicroError) => void;
  #unlink: (() => void) | undefined;
  #request: Http2Request | undefined;
  #encoding: string | undefined;
  #reader: FrameReader | undefined;
  #message: Uint8Array | undefined;
  #status: Http2Headers | undefined;
  #ended = false;
  #over = false;

  constructor(owner: Owner, head: CallHead, body: Uint8Array) {
    this.#owner = owner;
    this.#head = head;
    this.#body = body;
    this.deadline = head.deadline;
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  start(cancellation: Cancellation | undefined): void {
    if (cancellation === undefined) return;
    const unlink = cancellation.onCancel((reason) => this.#give(reason));
    if (this.#over) unlink();
    else this.#unlink = unlink;
  }

  begin(session: Http2Session): void {
    const { settings, heads } = this.#owner;
    if (this.#body.length > settings.maxMessage) return this.#give(oversized(this.#body.length, settings.maxMessage));
    try {
      const headers = heads.of(this.#head, settings.clock.now());
      this.#request = session.open(headers, this);
    } catch (error) {
      return this.#give(unsentError(this.#owner, error));
    }
    this.#request.end(settings.gzip ? gzipFrame(this.#body) : frame(this.#body));
  }

  undialled(error: unknown): void {
    const failure = fromUnknown(error, clientId);
    failure.layer ??= "dial";
    this.#give(failure);
  }

  /** The deadline has passed. */
  expire(): void {
    this.#give(tooLate(this.#head, this.#owner.node, this.#request === undefined));
  }

  /** The peer lets go of everything. */
  abandon(): void {
    this.#give(closedPeer(this.#owner.node, this.#request === undefined));
  }

  head(headers: Http2Headers, last: boolean): void {
    const fault = headFault(this.#owner, headers);
    if (fault !== undefined) return this.#give(fault);
    this.#encoding = headers["grpc-encoding"];
    if (last) this.trailers(headers);
  }

  data(chunk: Buffer): void {
    if (this.#over) return;
    const whole = this.#reader === undefined && this.#message === undefined ? wholeFrame(chunk) : undefined;
    const most = this.#owner.settings.maxMessage;
    if (whole !== undefined && whole.length <= most) this.#message = whole;
    else
      try {
        this.#reader ??= new FrameReader(most, (body, flags) => this.#take(body, flags));
        this.#reader.push(chunk);
      } catch (error) {
        this.#give(fromUnknown(error, clientId));
      }
  }

  trailers(headers: Http2Headers): void {
    this.#status = headers;
    if (this.#ended) this.#settle();
  }

  ended(): void {
    this.#ended = true;
    if (this.#status !== undefined) this.#settle();
  }

  drain(): void {}

  closed(how: Http2End, code: number): void {
    if (this.#over) return;
    if (this.#status !== undefined) this.#settle();
    else this.#give(lostError(this.#owner, how, code));
  }

  #take(body: Buffer, flags: number): void {
    if (this.#message !== undefined)
      throw errors.protocol(clientId, `${this.#where}: more than one reply to a unary call`);
    this.#message = unpack(body, flags, this.#encoding, this.#owner.settings.maxMessage);
  }

  /** Everything has come. */
  #settle(): void {
    if (this.#over) return;
    const error = decodeStatus(this.#status as Http2Headers);
    if (error !== undefined) return this.#give(error);
    if (this.#message === undefined)
      return this.#give(errors.protocol(clientId, `${this.#where}: no reply in the answer`));
    this.#finish();
    this.#resolve({ body: this.#message });
  }

  /** Ends it without a reply. */
  #give(error: MicroError): void {
    if (this.#over) return;
    this.#finish();
    if (!this.#ended) this.#request?.reset(http2Codes.cancel);
    this.#reject(error);
  }

  #finish(): void {
    this.#over = true;
    this.#unlink?.();
    this.#owner.settled(this);
  }

  get #where(): string {
    return `${this.#owner.node.address} ${this.#head.endpoint}`;
  }
}

/** A message that is not sent. */
export function oversized(length: number, most: number): MicroError {
  const detail = `message of ${length} bytes is larger than the limit of ${most}`;
  return new MicroError({ id: clientId, code: "PAYLOAD_TOO_LARGE", detail, refused: true });
}
