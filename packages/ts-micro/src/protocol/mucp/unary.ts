import { MicroError, fromUnknown } from "../../errors.ts";
import { nextCallId } from "../../internal/call-id.ts";
import { tickTime } from "../../internal/tick.ts";
import { Metadata } from "../../metadata.ts";
import type { CallHead, OutgoingCall } from "../../protocol.ts";
import type { Connection, DialOptions, Message, Receiver } from "../../transport.ts";
import { bytesOf } from "../../wire/body.ts";
import { headerRecord, type HeaderList } from "../../wire/http1/headers.ts";
import { H } from "../../wire/headers.ts";
import { undialled } from "../common/undialled.ts";
import { hear } from "./added.ts";
import { isEnd, replyError, requestHeader } from "./headers.ts";
import { requestLines } from "./lines.ts";
import { clientId, closedPeer, silence, tooLate, type Owner, type Entry } from "./owner.ts";

const nothing = Buffer.alloc(0);

/**
 * One request and its reply on a connection leased for them alone. A connection whose reply is still owed is never given back: a late
 * reply would answer somebody else's call.
 */
export class UnaryCall implements Receiver, DialOptions, Entry {
  // Set by the constructor alone: fields that a class defines cost a step each, and there is one of these for every call.
  declare readonly deadline: number;
  declare readonly reuse: true;
  declare previous: Entry | undefined;
  declare next: Entry | undefined;
  declare private readonly owner: Owner;
  declare private readonly call: OutgoingCall;
  declare private readonly id: string;
  declare private connection: Connection | undefined;
  declare private controller: AbortController | undefined;
  declare private sent: boolean;
  declare private over: boolean;
  /** The call has been settled. */
  declare private told: boolean;

  constructor(owner: Owner, call: OutgoingCall, id: string = nextCallId()) {
    this.deadline = call.due;
    this.reuse = true;
    this.previous = undefined;
    this.next = undefined;
    this.owner = owner;
    this.call = call;
    this.id = id;
    this.connection = undefined;
    this.controller = undefined;
    this.sent = false;
    this.over = false;
    this.told = false;
  }

  /** Only a transport that really dials asks for it. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    return this.controller.signal;
  }

  start(now: number): void {
    const { call, owner } = this;
    call.unlink = call.cancellation?.onCancel((reason) => this.#give(reason));
    if (this.over) return;
    const idle = owner.transport.lease?.(owner.node);
    if (idle !== undefined) return this.#connected(idle, now);
    owner.transport.dial(owner.node, this).then(
      (connection) => this.#connected(connection, tickTime(owner.clock)),
      (error: unknown) => this.#give(undialled(error, owner.node)),
    );
  }

  /** The deadline has passed. */
  expire(): void {
    this.#give(tooLate(this.call.route, this.owner.node, !this.sent));
  }

  /** The peer lets go of everything. */
  abandon(): void {
    this.#give(closedPeer(this.owner.node, !this.sent));
  }

  lines(headers: HeaderList, bytes: Buffer, from: number, to: number): boolean {
    const { connection } = this;
    if (this.over || connection === undefined || !this.sent || !plain(headers)) return false;
    if (this.call.listener !== undefined) hear(this.call.listener, headerRecord(headers));
    this.#settled();
    connection.release();
    this.#replied(bytes, from, to);
    return true;
  }

  message(message: Message): void {
    const { connection } = this;
    if (this.over || connection === undefined || !this.sent) {
      this.#give(this.#protocol("a reply that nobody asked for"));
      return;
    }
    if (this.call.listener !== undefined) hear(this.call.listener, message.header);
    const error = isEnd(message)
      ? this.#protocol("the end of a stream in reply to a unary call")
      : replyError(message, this.call.route.contentType);
    this.#settled();
    connection.release();
    if (error === undefined) this.#replied(bufferOf(message.body), 0, message.body.length);
    else this.#failed(error);
  }

  closed(error: MicroError): void {
    this.connection = undefined;
    this.#give(this.sent ? error : new MicroError({ ...error.toJSON(), refused: true }));
  }

  #connected(connection: Connection, now: number): void {
    if (this.over) {
      connection.receive(silence);
      connection.destroy();
      return;
    }
    this.connection = connection;
    connection.receive(this);
    if (this.over) return;
    const { call } = this;
    try {
      if (connection.sendLines === undefined) return this.#send(connection, now);
      // Behind the metadata, whose getters may call and write another body where this one is.
      const lines = requestLines(call.route, call.sent, this.deadline - now, this.id);
      connection.sendLines(lines, call.body());
      this.sent = true;
    } catch (error) {
      this.#settled();
      connection.release();
      return this.#failed(fromUnknown(error, clientId));
    }
    if (call.oneway) this.#written();
  }

  #send(connection: Connection, now: number): void {
    const { call, deadline, id } = this;
    const metadata = call.sent === undefined ? undefined : Metadata.from(call.sent);
    const head: CallHead = { ...call.route, kind: "unary", deadline, metadata, id };
    const message = { header: requestHeader(head, now), body: bytesOf(call.body()) };
    this.sent = true;
    connection.send(message).then(
      () => {
        if (call.oneway && !this.over) this.#written();
      },
      (error: unknown) => this.#give(fromUnknown(error, clientId)),
    );
  }

  /** Nobody waits for the reply of a oneway call; the connection does, until it comes. */
  #written(): void {
    const { call } = this;
    call.unlink?.();
    call.unlink = undefined;
    this.#replied(nothing, 0, 0);
  }

  #replied(bytes: Buffer, from: number, to: number): void {
    if (this.told) return;
    this.told = true;
    this.call.replied(bytes, from, to);
  }

  #failed(error: MicroError): void {
    if (this.told) return;
    this.told = true;
    this.call.failed(error);
  }

  /** Ends it without a reply. */
  #give(error: MicroError): void {
    const connection = this.connection;
    connection?.destroy();
    if (this.over) return;
    this.#settled();
    this.controller?.abort(error);
    this.#failed(error);
  }

  #settled(): void {
    if (this.over) return;
    this.over = true;
    this.connection = undefined;
    this.call.unlink?.();
    this.owner.settled(this);
  }

  #protocol(what: string): MicroError {
    const { node } = this.owner;
    return new MicroError({ id: clientId, code: "PROTOCOL", detail: `${node.address}: ${what}`, refused: !this.sent });
  }
}

/** Neither an error nor what may be one. */
function plain(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i];
    if (name === H.error || (name === H.contentType && headers[i + 1] === "text/plain")) return false;
  }
  return true;
}

function bufferOf(body: Uint8Array): Buffer {
  return Buffer.from(body.buffer, body.byteOffset, body.length);
}
