import {
  http2Codes,
  type Http2End,
  type Http2AnswerEvents,
  type Http2Headers,
  type Http2Request,
  type Http2Session,
} from "../../backends/http2.ts";
import type { Cancellation } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import type { CallHead, RawStream } from "../../protocol.ts";
import { FrameReader, frame } from "../../wire/grpc/frame.ts";
import { gzipFrame, unpack } from "../../wire/grpc/gzip.ts";
import { decodeStatus } from "../../wire/grpc/status.ts";
import { tickTime } from "../../internal/tick.ts";
import { undialled } from "../common/undialled.ts";
import { clientId, closedPeer, tooLate } from "../mucp/owner.ts";
import { addedIn, headFault, lostError, unsentError } from "./answer.ts";
import type { Entry, Owner } from "./owner.ts";
import { Room } from "../../internal/room.ts";
import { oversized } from "./unary.ts";

interface Waiting {
  readonly body: Uint8Array;
  resolve(room: Promise<void>): void;
  reject(error: MicroError): void;
}

/** The client's end of a stream: an HTTP/2 stream of the shared connection, whose end of stream is the half-close (wire spec §4.6). */
export class ClientStream implements RawStream, Entry, Http2AnswerEvents {
  readonly deadline: number;
  readonly #owner: Owner;
  readonly #head: CallHead;
  readonly #told: ((error: MicroError | undefined) => void) | undefined;
  readonly #inbound: MessageQueue;
  readonly #reader: FrameReader;
  readonly #room = new Room();
  #unlink: (() => void) | undefined;
  #request: Http2Request | undefined;
  #encoding: string | undefined;
  #status: Http2Headers | undefined;
  /** Sends from before the connection was there. */
  #waiting: Waiting[] = [];
  /** Our end said that nothing more comes. */
  #ended = false;
  /** Theirs did. */
  #heardAll = false;
  #over: { readonly error: MicroError | undefined } | undefined;

  constructor(owner: Owner, head: CallHead, told?: (error: MicroError | undefined) => void) {
    this.#owner = owner;
    this.#head = head;
    this.#told = told;
    this.deadline = head.deadline;
    this.#inbound = new MessageQueue(
      () => {
        if (this.#status === undefined) this.#request?.pause();
      },
      () => this.#request?.resume(),
    );
    const { maxMessage } = owner.settings;
    this.#reader = new FrameReader(maxMessage, (body, flags) =>
      this.#inbound.push(unpack(body, flags, this.#encoding, maxMessage)),
    );
  }

  start(cancellation: Cancellation | undefined): void {
    const unlink = cancellation?.onCancel((reason) => this.cancel(reason));
    if (this.#over !== undefined) unlink?.();
    else this.#unlink = unlink;
  }

  begin(session: Http2Session): void {
    const { settings, heads } = this.#owner;
    try {
      const { kind, deadline, metadata } = this.#head;
      this.#request = session.open(heads.of(this.#head, kind, deadline - tickTime(settings.clock), metadata), this);
    } catch (error) {
      return this.#finish(unsentError(this.#owner, error));
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    const ended = this.#ended;
    this.#ended = false;
    for (const each of waiting) each.resolve(this.send(each.body));
    if (ended) this.end();
  }

  undialled(error: unknown): void {
    this.#finish(undialled(error, this.#owner.node));
  }

  send(body: Uint8Array): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#tooLateToSend());
    if (this.#ended)
      return Promise.reject(errors.invalidState(clientId, "send after the end of the stream's own side"));
    const { maxMessage, gzip } = this.#owner.settings;
    if (body.length > maxMessage) return Promise.reject(oversized(body.length, maxMessage));
    const request = this.#request;
    if (request === undefined) return new Promise((resolve, reject) => this.#waiting.push({ body, resolve, reject }));
    const message = gzip ? gzipFrame(body) : frame(body);
    // The one request of a server stream says by itself that nothing more comes.
    if (this.#head.kind === "server") {
      this.#ended = true;
      request.end(message);
      return Promise.resolve();
    }
    return request.write(message) ? Promise.resolve() : this.#room.wait();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#over === undefined) this.#request?.end();
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#inbound.read();
  }

  cancel(reason: MicroError): void {
    const open = this.#over === undefined;
    if (open) this.#settled(reason);
    this.#inbound.abort(reason);
    // What is over has no one to tell.
    if (open) this.#request?.reset(http2Codes.cancel);
  }

  expire(): void {
    this.cancel(tooLate(this.#head, this.#owner.node, this.#request === undefined));
  }

  abandon(): void {
    this.cancel(closedPeer(this.#owner.node, this.#request === undefined));
  }

  head(headers: Http2Headers, last: boolean): void {
    if (this.#over !== undefined) return;
    const fault = headFault(this.#owner, headers);
    if (fault !== undefined) return this.#broken(fault);
    this.#encoding = headers["grpc-encoding"];
    if (last) this.trailers(headers);
    else this.#head.listener?.header(addedIn(headers));
  }

  data(chunk: Buffer): void {
    if (this.#over !== undefined) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#broken(fromUnknown(error, clientId));
    }
  }

  trailers(headers: Http2Headers): void {
    this.#status = headers;
    if (this.#heardAll) this.#conclude();
    // All has come, a window at most: the server may close the connection, and what is not taken goes with it.
    else this.#request?.resume();
  }

  ended(): void {
    this.#heardAll = true;
    if (this.#status !== undefined) this.#conclude();
  }

  drain(): void {
    this.#room.open();
  }

  closed(how: Http2End, code: number): void {
    if (this.#over !== undefined) return;
    // A status alone does not say that every message was heard.
    if (this.#status !== undefined && (this.#heardAll || decodeStatus(this.#status) !== undefined)) this.#conclude();
    else this.#finish(lostError(this.#owner, how, code));
  }

  #conclude(): void {
    if (this.#over !== undefined) return;
    this.#head.listener?.trailer(addedIn(this.#status as Http2Headers));
    const error = decodeStatus(this.#status as Http2Headers);
    // Bytes of a message that never became one.
    if (error === undefined && this.#reader.held > 0)
      return this.#finish(errors.protocol(clientId, `${this.#owner.node.address}: a message is cut off`));
    this.#finish(error);
    // The server does not read what we still have to say.
    if (!this.#ended) this.#request?.reset(http2Codes.cancel);
  }

  #broken(error: MicroError): void {
    this.#finish(error);
    this.#request?.reset(http2Codes.cancel);
  }

  /** The outcome is known: what is queued may still be read, then `error` or the clean end. */
  #finish(error: MicroError | undefined): void {
    if (this.#over !== undefined) return;
    this.#settled(error);
    this.#inbound.end(error);
  }

  #settled(error: MicroError | undefined): void {
    this.#over = { error };
    this.#unlink?.();
    this.#owner.settled(this);
    this.#told?.(error);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.reject(this.#tooLateToSend());
    this.#room.close(this.#tooLateToSend());
  }

  #tooLateToSend(): MicroError {
    return this.#over?.error ?? errors.invalidState(clientId, "the peer has ended the stream");
  }
}
