import type { Cancellation } from "../../context.ts";
import { MicroError, fromUnknown } from "../../errors.ts";
import type { CallHead, Reply } from "../../protocol.ts";
import type { Connection, DialOptions, Message, Receiver } from "../../transport.ts";
import { isEnd, replyError, requestHeader } from "./headers.ts";
import { clientId, closedPeer, silence, tooLate, type Owner, type Pending } from "./owner.ts";

const nothing = new Uint8Array(0);

/**
 * One request and its reply on a connection leased for them alone. A connection whose reply is still owed is never given back: a late
 * reply would answer somebody else's call.
 */
export class UnaryCall implements Receiver, DialOptions, Pending {
  readonly deadline: number;
  readonly reuse = true;
  readonly reply: Promise<Reply>;
  readonly #owner: Owner;
  readonly #head: CallHead;
  readonly #body: Uint8Array;
  #resolve!: (reply: Reply) => void;
  #reject!: (error: MicroError) => void;
  #connection: Connection | undefined;
  #controller: AbortController | undefined;
  #unlink: (() => void) | undefined;
  #sent = false;
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

  /** Only a transport that really dials asks for it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  start(cancellation: Cancellation | undefined): void {
    this.#unlink = cancellation?.onCancel((reason) => this.#give(reason));
    if (this.#over) return;
    this.#owner.transport.dial(this.#owner.node, this).then(
      (connection) => this.#connected(connection),
      (error: unknown) => this.#dialFailed(fromUnknown(error, clientId)),
    );
  }

  /** The deadline has passed. */
  expire(): void {
    this.#give(tooLate(this.#head, this.#owner.node, !this.#sent));
  }

  /** The peer lets go of everything. */
  abandon(): void {
    this.#give(closedPeer(this.#owner.node, !this.#sent));
  }

  message(message: Message): void {
    const connection = this.#connection;
    if (this.#over || connection === undefined || !this.#sent) {
      this.#give(this.#protocol("a reply that nobody asked for"));
      return;
    }
    const error = isEnd(message)
      ? this.#protocol("the end of a stream in reply to a unary call")
      : replyError(message, this.#head.contentType);
    this.#settled();
    connection.release();
    if (error === undefined) this.#resolve({ body: message.body });
    else this.#reject(error);
  }

  closed(error: MicroError): void {
    this.#connection = undefined;
    this.#give(this.#sent ? error : new MicroError({ ...error.toJSON(), refused: true }));
  }

  #connected(connection: Connection): void {
    if (this.#over) {
      connection.receive(silence);
      connection.destroy();
      return;
    }
    this.#connection = connection;
    connection.receive(this);
    if (this.#over) return;
    const header = requestHeader(this.#head, this.#owner.clock.now());
    this.#sent = true;
    connection.send({ header, body: this.#body }).then(
      () => this.#written(),
      (error: unknown) => this.#give(fromUnknown(error, clientId)),
    );
  }

  /** Nobody waits for the reply of a oneway call; the connection does, until it comes. */
  #written(): void {
    if (this.#head.oneway !== true || this.#over) return;
    this.#unlink?.();
    this.#resolve({ body: nothing });
  }

  #dialFailed(error: MicroError): void {
    error.layer ??= "dial";
    this.#give(error);
  }

  /** Ends it without a reply. */
  #give(error: MicroError): void {
    const connection = this.#connection;
    if (!this.#over) {
      this.#settled();
      this.#reject(error);
      this.#controller?.abort(error);
    }
    connection?.destroy();
  }

  #settled(): void {
    this.#over = true;
    this.#connection = undefined;
    this.#unlink?.();
    this.#owner.settled(this);
  }

  #protocol(what: string): MicroError {
    const { node } = this.#owner;
    return new MicroError({ id: clientId, code: "PROTOCOL", detail: `${node.address}: ${what}`, refused: !this.#sent });
  }
}
