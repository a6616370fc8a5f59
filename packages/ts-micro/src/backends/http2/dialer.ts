import type { Clock } from "../../clock.ts";
import { errors } from "../../errors.ts";
import { openSocket } from "../../internal/dial.ts";
import type { ClientTlsOptions } from "../../tls.ts";
import type { Http2Limits, Http2Session } from "../http2.ts";

export interface Http2DialerOptions extends Http2Limits {
  /** Who reports the errors. */
  readonly id: string;
  readonly address: string;
  /** TLS with these options. */
  readonly tls: ClientTlsOptions | undefined;
  /** Milliseconds. */
  readonly dialTimeout: number;
  readonly keepalive: number;
  readonly keepaliveTimeout: number;
  readonly clock: Clock;
  /** Those who were held back, since the connection was full, may try again. */
  readonly room?: () => void;
}

/** One connection to an address for all requests, and a new one when that takes no more. The engine is loaded by the first dial. */
export class Http2Dialer {
  readonly #options: Http2DialerOptions;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly #sessions = new Set<Http2Session>();
  #session: Http2Session | undefined;
  #dialling: Promise<Http2Session> | undefined;
  readonly #abort = new AbortController();

  constructor(options: Http2DialerOptions) {
    this.#options = options;
    this.scheme = options.tls === undefined ? "http" : "https";
    this.authority = options.address.startsWith("unix:") ? "localhost" : options.address;
  }

  /** The connection, when it is there and takes requests. */
  get session(): Http2Session | undefined {
    return this.#session?.usable ? this.#session : undefined;
  }

  /** Dials, once for all who ask meanwhile. Rejects with UNAVAILABLE and `refused`. */
  dial(): Promise<Http2Session> {
    this.#dialling ??= this.#dial().finally(() => (this.#dialling = undefined));
    return this.#dialling;
  }

  /** Ends every connection when its last request is over. */
  release(): void {
    this.#abort.abort(this.#closedError());
    for (const session of this.#sessions) session.close();
  }

  /** Ends every connection now. */
  close(): void {
    this.#abort.abort(this.#closedError());
    for (const session of this.#sessions) session.destroy();
  }

  async #dial(): Promise<Http2Session> {
    const { id, address, tls, dialTimeout, keepalive, keepaliveTimeout, clock, maxHeader, window } = this.#options;
    const { signal } = this.#abort;
    const [{ nodeHttp2 }, socket] = await Promise.all([
      import("./node.ts"),
      openSocket(address, tls, { deadline: Infinity, signal }, { id, clock, dialTimeout, alpn: ["h2"] }),
    ]);
    const session = nodeHttp2.client(socket, {
      ...{ scheme: this.scheme, authority: this.authority, clock, maxHeader, window, keepalive, keepaliveTimeout },
      room: () => this.#options.room?.(),
      left: (gone) => {
        if (this.#session === gone) this.#session = undefined;
      },
      gone: (gone) => this.#sessions.delete(gone),
    });
    this.#sessions.add(session);
    if (signal.aborted) {
      session.destroy();
      throw signal.reason;
    }
    return (this.#session = session);
  }

  #closedError(): Error {
    return errors.cancelled(this.#options.id, `the connections to ${this.#options.address} were closed`);
  }
}
