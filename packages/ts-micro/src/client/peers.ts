import { exitAmbient } from "../internal/ambient.ts";
import { errors } from "../errors.ts";
import type { Peer, Protocol } from "../protocol.ts";
import type { Node } from "../registry.ts";

const most = 4096;

/** The peers of a client by node, with the protocol each node names. Nodes that left are let go when their last call has ended. */
export class Peers {
  readonly #protocols: ReadonlyMap<string, Protocol>;
  readonly #fallback: Protocol;
  readonly #peers = new Map<string, Peer>();
  /** Their node is gone, their last calls are not. */
  readonly #leaving = new Set<Peer>();
  #closed = false;

  constructor(protocols: readonly Protocol[]) {
    this.#protocols = new Map(protocols.map((protocol) => [protocol.name, protocol]));
    this.#fallback = protocols[0] as Protocol;
  }

  /** Whether a node of this protocol can be called. An empty one is a Go node of old: mucp. */
  speaks = (protocol: string): boolean => protocol === "" || this.#protocols.has(protocol);

  of(node: Node): Peer {
    const known = this.#peers.get(node.id);
    if (known !== undefined && known.node.address === node.address) return known;
    if (this.#closed) throw errors.invalidState("go.micro.client", "the client is closed");
    if (known !== undefined) this.#retire(known);
    if (this.#peers.size >= most) this.#evict();
    const protocol = this.#protocols.get(node.metadata["protocol"] ?? "") ?? this.#fallback;
    const peer = exitAmbient(() => protocol.dial(node));
    this.#peers.set(node.id, peer);
    return peer;
  }

  /** Lets go of every peer whose node is no longer wanted and that has nothing pending. */
  sweep(wanted: (node: Node) => boolean): void {
    for (const peer of this.#peers.values()) if (!wanted(peer.node)) this.#retire(peer);
    for (const peer of this.#leaving) this.#retire(peer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const peers = [...this.#peers.values(), ...this.#leaving];
    this.#peers.clear();
    this.#leaving.clear();
    await Promise.all(peers.map((peer) => peer.close()));
  }

  #retire(peer: Peer): void {
    if (this.#peers.get(peer.node.id) === peer) this.#peers.delete(peer.node.id);
    if (peer.pending > 0) {
      this.#leaving.add(peer);
      return;
    }
    this.#leaving.delete(peer);
    void peer.close();
  }

  #evict(): void {
    for (const peer of this.#peers.values()) {
      if (peer.pending > 0) continue;
      this.#retire(peer);
      return;
    }
  }
}
