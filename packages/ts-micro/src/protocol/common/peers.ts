import { errors } from "../../errors.ts";
import type { Peer } from "../../protocol.ts";

/** The peers that a protocol has dialled, until they are closed. */
export class Peers<P extends Peer> {
  readonly #peers = new Set<P>();
  #closed = false;

  /** `make` gets what the peer calls when it is closed. */
  add(make: (left: (peer: P) => void) => P): P {
    if (this.#closed) throw errors.invalidState("go.micro.client", "the protocol is closed");
    const peer = make((left) => this.#peers.delete(left));
    this.#peers.add(peer);
    return peer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#peers].map((peer) => peer.close()));
  }
}
