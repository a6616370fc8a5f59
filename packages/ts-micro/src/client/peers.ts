import { exitAmbient } from "../internal/ambient.ts";
import { errors } from "../errors.ts";
import type { Peer, Protocol } from "../protocol.ts";
import type { Node } from "../registry.ts";

const most = 4096;

/** The peers of a client by node, each of a protocol that the node speaks. Nodes that left are let go when their last call has ended. */
export class Peers {
  readonly #protocols: readonly Protocol[];
  readonly #peers = new Map<string, Peer>();
  /** By whose name the nodes of these were found. */
  readonly #services = new WeakMap<Peer, string>();
  /** Their node is gone, their last calls are not. */
  readonly #leaving = new Set<Peer>();
  /** The node that was asked for last, as it was then, and its peer. */
  #lastId: string | undefined;
  #lastAddress: string | undefined;
  #lastPeer: Peer | undefined;
  #closed = false;

  /** In order of preference. Of a node that only has an address nothing is known: mucp, or what there is. */
  constructor(protocols: readonly Protocol[]) {
    this.#protocols = protocols;
  }

  /** Whether a node can be called. */
  speaks(node: Node): boolean {
    return this.#protocols.some((protocol) => spoken(protocol, node));
  }

  /** `service`: by whose name it was found, undefined for an address. */
  of(node: Node, service: string | undefined): Peer {
    const { id, address } = node;
    if (id === this.#lastId && address === this.#lastAddress) return this.#lastPeer as Peer;
    const peer = this.#of(node, service);
    this.#lastId = id;
    this.#lastAddress = address;
    this.#lastPeer = peer;
    return peer;
  }

  #of(node: Node, service: string | undefined): Peer {
    const known = this.#peers.get(node.id);
    if (known !== undefined && known.node.address === node.address) return known;
    if (this.#closed) throw errors.invalidState("go.micro.client", "the client is closed");
    if (known !== undefined) this.#retire(known);
    if (this.#peers.size >= most) this.#evict();
    const ways = this.#protocols.filter((protocol) => spoken(protocol, node));
    const peer = exitAmbient(() => dial(ways.length > 0 ? ways : [this.#usual()], node));
    this.#peers.set(node.id, peer);
    if (service !== undefined) this.#services.set(peer, service);
    return peer;
  }

  /** Lets go of every peer of `service` whose node is not `present` any more and that has nothing pending. */
  sweep(service: string, present: ReadonlySet<string>): void {
    for (const peer of this.#peers.values())
      if (this.#services.get(peer) === service && !present.has(peer.node.id)) this.#retire(peer);
    for (const peer of this.#leaving) this.#retire(peer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#forget();
    const peers = [...this.#peers.values(), ...this.#leaving];
    this.#peers.clear();
    this.#leaving.clear();
    await Promise.all(peers.map((peer) => peer.close()));
  }

  #usual(): Protocol {
    return this.#protocols.find((protocol) => protocol.name === "mucp") ?? (this.#protocols[0] as Protocol);
  }

  #forget(): void {
    this.#lastId = this.#lastPeer = undefined;
  }

  #retire(peer: Peer): void {
    this.#forget();
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

/** What a node says that it speaks. An empty `protocol` is a Go node of old: mucp. */
export function spokenBy({ metadata }: Node): readonly string[] {
  return metadata["ts-protocols"]?.split(",") ?? [metadata["protocol"] || "mucp"];
}

function spoken(protocol: Protocol, node: Node): boolean {
  return protocol.speaks === undefined ? spokenBy(node).includes(protocol.name) : protocol.speaks(node);
}

/** By the first of the ways, which may find that it must be the next one. */
function dial(ways: readonly Protocol[], node: Node): Peer {
  const [first, ...others] = ways as [Protocol, ...Protocol[]];
  return others.length === 0 ? first.dial(node) : first.dial(node, () => exitAmbient(() => dial(others, node)));
}
