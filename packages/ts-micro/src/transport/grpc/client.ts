import type { Http2Request, Http2Session, Http2Stream } from "../../backends/http2.ts";
import { transportPath } from "../../wire/grpc/transport-message.ts";
import type { Poolable } from "../common/pool.ts";
import { GrpcEnd } from "./end.ts";

/** The client's end. */
export class ClientEnd extends GrpcEnd implements Poolable {
  readonly local = "";
  readonly remote: string;
  readonly key: string;
  deadline: number = Infinity;
  readonly #request: Http2Request;
  readonly #released: (end: ClientEnd) => void;
  readonly #lost: (end: ClientEnd) => void;
  #lent = true;

  constructor(
    session: Http2Session,
    of: { scheme: string; authority: string; key: string; maxBody: number },
    released: (end: ClientEnd) => void,
    lost: (end: ClientEnd) => void,
  ) {
    super(of.maxBody);
    this.key = of.key;
    this.remote = of.authority;
    this.#released = released;
    this.#lost = lost;
    const headers = {
      ":method": "POST",
      ":scheme": of.scheme,
      ":authority": of.authority,
      ":path": transportPath,
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": "grpc-node-ts-micro",
    };
    this.#request = session.open(headers, this);
  }

  lend(): void {
    this.#lent = true;
  }

  release(): void {
    if (!this.#lent) return;
    this.#lent = false;
    this.forget();
    this.#released(this);
  }

  busy(): void {}

  protected stream(): Http2Stream {
    return this.#request;
  }

  protected finish(): void {
    this.#request.end();
  }

  protected left(): void {
    this.#lost(this);
  }

  // A message nobody waits for would answer the next user.
  protected override unasked(): void {
    if (!this.#lent && !this.alive) this.destroy();
  }
}
