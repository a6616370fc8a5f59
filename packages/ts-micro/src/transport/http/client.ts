import type { Socket } from "node:net";
import { errors, type MicroError } from "../../errors.ts";
import type { Inlet } from "../../internal/inlet.ts";
import type { Message } from "../../transport.ts";
import { encodeRequest, encodeRequestHead, requestStart } from "../../wire/http1/encode.ts";
import { ResponseParser, type Http1Response } from "../../wire/http1/response.ts";
import type { Poolable } from "../common/pool.ts";
import { fields, HttpEnd } from "./end.ts";
import type { Home } from "./ends.ts";
import { id, type Settings } from "./options.ts";

export interface ClientEndInit {
  socket: Socket;
  inlet: Inlet;
  settings: Settings;
  ends: Home;
  /** Pool key. */
  key: string;
  /** The node's address. */
  address: string;
  /** The exchange is complete and the connection as good as new. */
  released(end: ClientEnd): void;
  /** Of no use any more. */
  lost(end: ClientEnd): void;
}

/** Requests to one node's socket, and the answers from it (wire spec §2.6). */
export class ClientEnd extends HttpEnd<Http1Response> implements Poolable {
  readonly key: string;
  until = 0;
  protected readonly parser: ResponseParser;
  protected readonly start: string;
  readonly #host: string;
  readonly #init: ClientEndInit;
  /** Nobody's: what arrives now is meant for nobody. */
  #idle = false;
  /** The peer keeps it open. */
  #reusable = true;

  constructor(init: ClientEndInit) {
    const { socket, settings, ends, address } = init;
    super(socket, settings, ends, address, init.inlet);
    this.#init = init;
    this.key = init.key;
    this.#host = address.startsWith("unix:") ? "localhost" : address;
    this.start = requestStart(this.#host);
    this.parser = new ResponseParser(
      { message: (response) => this.#message(response) },
      { maxHeadBytes: settings.maxHeader, maxBodyBytes: settings.maxBody },
    );
    socket.once("close", () => init.lost(this));
  }

  get alive(): boolean {
    return (
      !this.over && this.#reusable && this.parser.idle && !this.socket.destroyed && this.socket.readyState === "open"
    );
  }

  /** It has a new user. */
  lend(): void {
    this.#idle = false;
  }

  release(): void {
    this.receiver = undefined;
    this.#idle = true;
    this.resume();
    // In mid-parse the rest of the chunk decides: a second answer would be the next user's.
    if (!this.parsing) this.#giveBack();
  }

  busy(): void {}

  expire(): void {
    this.socket.destroy();
  }

  override send(message: Message): Promise<void> {
    if (message.header["Connection"]?.toLowerCase() === "close") this.#reusable = false;
    return super.send(message);
  }

  protected encode({ header, body: whole }: Message, body: Uint8Array | undefined): Buffer {
    const headers = fields(header);
    return body === undefined
      ? encodeRequestHead({ host: this.#host, headers }, whole.length)
      : encodeRequest({ host: this.#host, headers, body });
  }

  protected override read(chunk: Buffer, length: number, lent: boolean): void {
    if (this.#idle && !this.over) return this.shut("answered without being asked");
    super.read(chunk, length, lent);
  }

  protected override parsed(): void {
    super.parsed();
    if (this.#idle && !this.over) this.#giveBack();
  }

  protected peerEnded(error: MicroError): void {
    this.finish(error);
    this.end();
  }

  protected broken(error: MicroError): void {
    this.finish(error);
    this.socket.destroy();
  }

  #message(response: Http1Response): boolean {
    if (this.#idle) {
      this.#reusable = false;
      return false;
    }
    if (response.status !== 200) {
      const line = `${response.status} ${response.reason}`.trimEnd();
      this.finish(errors.protocol(id, `${line}: ${response.body.toString("utf8", 0, 1024).trimEnd()}`));
      this.socket.destroy();
      return false;
    }
    if (response.close) this.#reusable = false;
    return this.deliver(response);
  }

  #giveBack(): void {
    if (this.alive) this.#init.released(this);
    else this.destroy();
  }
}
