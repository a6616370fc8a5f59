import type { Codec, Envelope } from "../codec.ts";
import { Incoming } from "../internal/incoming.ts";
import type { Target } from "./direct.ts";

/** What a stream's handler receives. */
export class Requests extends Incoming {
  readonly #target: Target;
  readonly #id: string;

  /** `id`: that of the call, for envelopes. */
  constructor(target: Target, id: string) {
    super("go.micro.server", false);
    this.#target = target;
    this.#id = id;
  }

  protected valueAt(bytes: Buffer, from: number, to: number): unknown {
    return this.#target.enveloped
      ? this.valueOf(Buffer.from(bytes.subarray(from, to)))
      : this.#target.decode(bytes, from, to);
  }

  protected valueOf(body: Uint8Array): unknown {
    const { codec, request, enveloped, route } = this.#target;
    const envelope: Envelope | undefined = enveloped
      ? { type: "request", id: this.#id, endpoint: route.endpoint }
      : undefined;
    return (codec as Codec).decode(body, request, envelope);
  }
}
