import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { Cancellation } from "../../context.ts";
import { MicroError, codeOf, errors, fromUnknown } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import type { CallHead, Reply } from "../../protocol.ts";
import { decodeError } from "../../wire/error.ts";
import { H, isPerHop } from "../../wire/headers.ts";
import { clientId, hear, kindHeader, sendable } from "./headers.ts";
import type { HttpPeer, Pending } from "./peer.ts";

/** What is read of an answer's head, and of its trailers, in bytes: a service may add 16 KiB and 16 KiB. */
const maxHeaderSize = 64 * 1024;
/** Most of an error's body that is read, in bytes. */
const longest = 64 * 1024;

/** One request of node:http and what can end it: its answer, the deadline, the caller, the connection. */
export abstract class Exchange implements Pending {
  deadline: number;
  protected readonly peer: HttpPeer;
  protected readonly head: CallHead;
  protected request: ClientRequest | undefined;
  protected over = false;
  /** The connection is there: from then on the request may have run. */
  protected sent = false;
  #dialling = false;
  #unlink: (() => void) | undefined;
  #answer: IncomingMessage | undefined;

  constructor(peer: HttpPeer, head: CallHead) {
    this.peer = peer;
    this.head = head;
    this.deadline = head.deadline;
  }

  /** The headers of a successful answer are there. */
  protected abstract answered(response: IncomingMessage): void;
  protected abstract write(request: ClientRequest): void;
  protected abstract headers(): OutgoingHttpHeaders;
  /** It is over, without an answer or in the middle of one. */
  protected abstract failed(error: MicroError): void;

  async start(cancellation: Cancellation | undefined): Promise<void> {
    this.#unlink = cancellation?.onCancel((reason) => this.give(reason));
    let made: ClientRequest;
    try {
      const { request, agent, target } = await this.peer.line();
      if (this.over) return;
      const path = pathOf(this.head, this.peer.node.metadata["ts-wire"] !== undefined);
      made = exitAmbient(() =>
        request({
          ...target,
          agent,
          method: "POST",
          path,
          maxHeaderSize,
          headers: { ...this.#metadata(), ...this.headers() },
        }),
      );
    } catch (error) {
      const { code, detail } = fromUnknown(error, clientId);
      return this.give(new MicroError({ id: clientId, code, detail, cause: error, refused: true }));
    }
    const request = (this.request = made);
    request
      .on("socket", (socket) => {
        if (!socket.connecting) return this.#connected(request);
        this.#dialling = true;
        this.deadline = Math.min(this.head.deadline, this.peer.settings.clock.now() + this.peer.settings.dialTimeout);
        this.peer.watch(this.deadline);
        socket.once("encrypted" in socket ? "secureConnect" : "connect", () => this.#connected(request));
      })
      .on("response", (response) => this.#response(response))
      .on("error", (error) => this.#gone(error.message, error))
      .on("close", () => this.#gone("the connection was closed"));
  }

  expire(): void {
    const { head, peer } = this;
    const dial = this.#dialling && this.deadline < head.deadline;
    const what = dial
      ? `dial ${peer.node.address}: no connection within ${peer.settings.dialTimeout} ms`
      : `${head.service} ${head.endpoint} at ${peer.node.address}: the deadline passed ${this.sent ? "before the reply" : "before it was sent"}`;
    this.give(
      new MicroError({ id: clientId, code: dial ? "UNAVAILABLE" : "TIMEOUT", detail: what, refused: !this.sent }),
    );
  }

  abandon(): void {
    const detail = `the connections to ${this.peer.node.address} were closed`;
    this.give(new MicroError({ id: clientId, code: "CONNECTION_LOST", detail, refused: !this.sent }));
  }

  /** Ends it with an error, once. */
  protected give(error: MicroError): void {
    if (this.over) return;
    this.settle();
    this.request?.destroy();
    this.failed(error);
  }

  protected settle(): void {
    this.over = true;
    this.#unlink?.();
    this.peer.settled(this);
  }

  /** All of a body, or nothing when it is too large. */
  protected collect(response: IncomingMessage, limit: number, done: (body: Buffer | undefined) => void): void {
    const chunks: Buffer[] = [];
    let length = 0;
    response
      .on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length <= limit) chunks.push(chunk);
        else done(undefined);
      })
      .on("end", () => {
        if (response.complete) done(Buffer.concat(chunks));
      })
      .on("error", (error) => this.give(this.#lost(error.message, error)));
  }

  protected broken(code: "PROTOCOL" | "PAYLOAD_TOO_LARGE", what: string): MicroError {
    return new MicroError({ id: clientId, code, detail: `${this.peer.node.address}: ${what}` });
  }

  #connected(request: ClientRequest): void {
    if (this.over) return;
    this.#dialling = false;
    this.sent = true;
    this.deadline = this.head.deadline;
    this.peer.watch(this.deadline);
    this.write(request);
  }

  #gone(what: string, cause?: Error): void {
    // An answer that is all there may wait for its reader: its own end decides.
    if (this.#answer?.complete !== true) this.give(this.#lost(what, cause));
  }

  #response(response: IncomingMessage): void {
    this.#answer = response;
    const status = response.statusCode ?? 0;
    if (this.head.listener !== undefined && !this.over) hear(this.head.listener, response);
    if (status >= 200 && status < 300) return this.answered(response);
    if (status < 400)
      return this.give(
        this.broken("PROTOCOL", `${status} ${response.headers.location ?? ""}: redirects are not followed`),
      );
    this.collect(response, longest, (body) => this.give(this.#errorOf(status, response, body?.toString() ?? "")));
  }

  #errorOf(status: number, response: IncomingMessage, text: string): MicroError {
    const told = decodeError(text);
    const given = told.status !== 0;
    const error = new MicroError({
      id: told.id || this.head.service,
      status: given ? told.status : status,
      code: given ? told.code : codeOf(status),
      detail: given ? told.detail : text || `${status} ${response.statusMessage ?? ""}`,
      refused: response.headers[H.refused.toLowerCase()] === "1",
    });
    error.layer = "remote";
    return error;
  }

  #lost(what: string, cause?: Error): MicroError {
    const { address } = this.peer.node;
    if (this.sent) return errors.connectionLost(clientId, `${address}: ${what}`, cause);
    const error = new MicroError({
      id: clientId,
      code: "UNAVAILABLE",
      detail: `dial ${address}: ${what}`,
      cause,
      refused: true,
    });
    error.layer = "dial";
    return error;
  }

  #metadata(): Record<string, string> {
    const { head, peer } = this;
    const out: Record<string, string> = {};
    if (head.metadata !== undefined)
      for (const [name, value] of head.metadata) if (!isPerHop(name.toLowerCase())) out[name] = value;
    if (head.deadline !== Infinity)
      out[H.timeout] = String(Math.max(1, Math.round((head.deadline - peer.settings.clock.now()) * 1e6)));
    // Who waits for no reply does not hear of a refusal.
    if (head.oneway !== true) out[kindHeader] = head.kind;
    return sendable(out);
  }
}

/** The endpoint is the path, as in Go; a call of an endpoint of ours also says which service it means. */
function pathOf({ service, endpoint }: CallHead, ours: boolean): string {
  if (!endpoint.startsWith("/")) endpoint = ours ? `/${encodeURIComponent(service)}/${endpoint}` : `/${endpoint}`;
  return Buffer.from(endpoint)
    .toString()
    .replace(/[^\x21-\x7e]/gu, encodeURIComponent);
}

const nothing = new Uint8Array(0);

/** A call with one answer. */
export class HttpCall extends Exchange {
  readonly reply: Promise<Reply>;
  readonly #body: Uint8Array;
  #resolve!: (reply: Reply) => void;
  #reject!: (error: MicroError) => void;

  constructor(peer: HttpPeer, head: CallHead, body: Uint8Array) {
    super(peer, head);
    this.#body = body;
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  protected headers(): OutgoingHttpHeaders {
    const { contentType } = this.head;
    return { "content-type": contentType, accept: contentType, "content-length": this.#body.length };
  }

  protected write(request: ClientRequest): void {
    if (this.head.oneway !== true) request.end(this.#body);
    // Nobody waits for its reply; the connection does, until it comes.
    else request.end(this.#body, () => this.#resolve({ body: nothing }));
  }

  protected answered(response: IncomingMessage): void {
    const { maxBody } = this.peer.settings;
    this.collect(response, maxBody, (body) => {
      if (body === undefined)
        return this.give(this.broken("PAYLOAD_TOO_LARGE", `an answer of more than ${maxBody} bytes`));
      if (this.over) return;
      this.settle();
      this.#resolve({ body });
    });
  }

  protected failed(error: MicroError): void {
    this.#reject(error);
  }
}
