import type { Timer } from "../../clock.ts";
import type { Cancellation } from "../../context.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { MessageQueue } from "../../internal/message-queue.ts";
import type { CallHead, RawStream } from "../../protocol.ts";
import type { Connection, DialOptions, Message, Receiver } from "../../transport.ts";
import { EOS } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { undialled } from "../common/undialled.ts";
import { hear } from "./added.ts";
import { errorBody, openBody } from "./bodies.ts";
import { followHeader, isEnd, kindHeader, replyError, requestHeader, type Header } from "./headers.ts";
import { clientId, closedPeer, silence, tooLate, type Owner, type Entry } from "./owner.ts";

interface Waiting {
  readonly body: Uint8Array;
  resolve(room: Promise<void>): void;
  reject(error: MicroError): void;
}

/** The client's end of a stream, on a connection of its own (wire spec §3.2). */
export class ClientStream implements RawStream, Receiver, DialOptions, Entry {
  readonly deadline: number;
  readonly reuse = false;
  previous: Entry | undefined;
  next: Entry | undefined;
  readonly #owner: Owner;
  readonly #head: CallHead;
  readonly #header: Header;
  readonly #controller = new AbortController();
  readonly #inbound: MessageQueue;
  readonly #told: ((error: MicroError | undefined) => void) | undefined;
  #connection: Connection | undefined;
  #unlink: (() => void) | undefined;
  /** Sends from before the connection was there. */
  #waiting: Waiting[] = [];
  #opened = false;
  /** Our end said that nothing more comes. */
  #ended = false;
  #endSent = false;
  #answered = false;
  #heardAt = 0;
  #timer: Timer | undefined;
  /** The node is known not to be ours. */
  #foreign: boolean;
  #over: { readonly error: MicroError | undefined } | undefined;

  constructor(owner: Owner, head: CallHead, told?: (error: MicroError | undefined) => void) {
    this.#told = told;
    this.#owner = owner;
    this.#head = head;
    this.deadline = head.deadline;
    this.#header = followHeader(head);
    const { metadata } = owner.node;
    this.#foreign = (metadata["protocol"] ?? "") !== "" && metadata["ts-wire"] === undefined;
    this.#inbound = new MessageQueue(
      () => this.#connection?.pause(),
      () => this.#connection?.resume(),
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  start(cancellation: Cancellation | undefined): void {
    this.#unlink = cancellation?.onCancel((reason) => this.cancel(reason));
    if (this.#over !== undefined) return;
    exitAmbient(() => this.#owner.transport.dial(this.#owner.node, this)).then(
      (connection) => this.#connected(connection),
      (error: unknown) => this.#finish(undialled(error, this.#owner.node)),
    );
  }

  send(body: Uint8Array): Promise<void> {
    if (this.#over !== undefined || this.#answered) return Promise.reject(this.#tooLateToSend());
    if (this.#ended)
      return Promise.reject(errors.invalidState(clientId, "send after the end of the stream's own side"));
    const connection = this.#connection;
    if (connection !== undefined) return connection.send({ header: this.#header, body });
    return new Promise((resolve, reject) => this.#waiting.push({ body, resolve, reject }));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#connection !== undefined && this.#over === undefined) this.#halfClose();
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#inbound.read();
  }

  cancel(reason: MicroError): void {
    if (this.#answered && this.#over === undefined) return this.#finish(undefined);
    const connection = this.#connection;
    if (this.#over === undefined) this.#settled(reason);
    this.#inbound.abort(reason);
    this.#controller.abort(reason);
    connection?.destroy();
  }

  expire(): void {
    this.cancel(tooLate(this.#head, this.#owner.node, !this.#opened));
  }

  abandon(): void {
    this.cancel(closedPeer(this.#owner.node, !this.#opened));
  }

  message(message: Message): void {
    if (this.#over !== undefined) return;
    if (this.#head.listener !== undefined) hear(this.#head.listener, message.header);
    if (this.#answered) return this.#finish(undefined);
    if (isEnd(message)) return this.#finish(undefined);
    this.#heardAt = this.#owner.clock.now();
    // Go's echo of our open message. An address that was called directly says nothing else of what listens there.
    if (!this.#foreign && message.header[kindHeader] !== undefined) {
      this.#foreign = true;
      if (this.#endSent) this.#awaitSilence();
    }
    const error = replyError(message, this.#head.contentType);
    if (error === undefined) {
      this.#inbound.push(message.body);
      // The first message is the answer. Go servers that have seen our end send nothing after it.
      if (this.#head.kind === "client") this.#conclude();
    } else this.#finish(error);
  }

  closed(error: MicroError): void {
    this.#connection = undefined;
    if (this.#over !== undefined) return;
    // Nor does it say anything before it closes (wire spec §3.2).
    const clean = this.#endSent && this.#foreign && this.#head.kind === "bidi" && error.code === "CONNECTION_LOST";
    this.#finish(clean ? undefined : error);
  }

  #connected(connection: Connection): void {
    if (this.#over !== undefined) {
      connection.receive(silence);
      connection.destroy();
      return;
    }
    this.#connection = connection;
    connection.receive(this);
    if (this.#over !== undefined) return;
    this.#opened = true;
    this.#post(requestHeader(this.#head, this.#owner.clock.now()), openBody(this.#head));
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.resolve(connection.send({ header: this.#header, body: each.body }));
    if (this.#ended) this.#halfClose();
  }

  /** A message that nobody waits for; if it cannot be sent, `closed` tells. */
  #post(header: Header, body: Uint8Array): void {
    this.#connection?.send({ header, body }).catch((error: unknown) => {
      const failure = fromUnknown(error, clientId);
      if (failure.code !== "CONNECTION_LOST") this.#finish(failure);
    });
  }

  #halfClose(): void {
    // The one request of a server stream says by itself that nothing more comes.
    if (this.#head.kind === "server") return;
    this.#sayEnd();
    this.#heardAt = this.#owner.clock.now();
    if (this.#foreign) this.#awaitSilence();
  }

  /** A Go server says nothing at the end when it has seen ours. The answer of a client stream may take any time, and ends it by itself. */
  #awaitSilence(ms: number = this.#owner.goHalfCloseGrace): void {
    if (this.#head.kind !== "bidi") return;
    const { clock, goHalfCloseGrace } = this.#owner;
    this.#timer = clock.after(ms, () => {
      // While we do not listen the silence is ours.
      const silent = this.#inbound.full ? 0 : clock.now() - this.#heardAt;
      if (silent >= goHalfCloseGrace) this.#finish(undefined);
      else this.#awaitSilence(goHalfCloseGrace - silent);
    });
  }

  #sayEnd(): void {
    if (this.#endSent) return;
    this.#endSent = true;
    const header: Header = Object.assign(Object.create(null) as Header, this.#header, { [H.error]: EOS });
    this.#post(header, errorBody(this.#head.contentType, EOS));
  }

  /** A client stream has its answer. A server of ours goes on to its end message, and hears of no lost caller before that. */
  #conclude(): void {
    if (this.#foreign) return this.#finish(undefined);
    this.#sayEnd();
    this.#answered = true;
    // What was added to the end comes with it.
    if (this.#head.listener === undefined) this.#inbound.end();
    const { clock, goHalfCloseGrace } = this.#owner;
    this.#timer = clock.after(goHalfCloseGrace, () => this.#finish(undefined));
  }

  /** The outcome is known: what is queued may still be read, then `error` or the clean end. */
  #finish(error: MicroError | undefined): void {
    if (this.#over !== undefined) return;
    const connection = this.#connection;
    if (connection !== undefined && this.#opened) this.#sayEnd();
    this.#settled(error);
    this.#inbound.end(error);
    connection?.close();
  }

  #settled(error: MicroError | undefined): void {
    this.#over = { error };
    this.#connection = undefined;
    this.#unlink?.();
    if (this.#timer !== undefined) this.#owner.clock.cancel(this.#timer);
    this.#owner.settled(this);
    this.#told?.(error);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.reject(this.#tooLateToSend());
  }

  #tooLateToSend(): MicroError {
    return this.#over?.error ?? errors.invalidState(clientId, "the peer has ended the stream");
  }
}
