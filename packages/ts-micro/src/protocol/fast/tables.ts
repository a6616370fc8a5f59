import { errors } from "../../errors.ts";
import { Metadata, Snapshot, type Taken } from "../../metadata.ts";
import type { Route } from "../../protocol.ts";
import { Flag, Frame, defaults, longestEntry, longestMetadata, mostMetadata } from "../../wire/fast/frame.ts";
import { encodeMetadata, encodeRoute } from "../../wire/fast/text.ts";
import type { FrameWriter } from "../../wire/fast/writer.ts";
import { isPerHop } from "../../wire/headers.ts";
import { wireId } from "./link.ts";

/** Entries of one table of the peer; the oldest gives way. Numbers begin at 1. */
class Slots<K> {
  readonly #numbers = new Map<K, number>();
  readonly #keys: (K | undefined)[] = [];
  #next = 0;
  size: number;

  constructor(size: number) {
    this.size = size;
  }

  get(key: K): number | undefined {
    return this.#numbers.get(key);
  }

  add(key: K): number {
    const at = this.#next;
    this.#next = (at + 1) % this.size;
    const old = this.#keys[at];
    if (old !== undefined) this.#numbers.delete(old);
    this.#keys[at] = key;
    this.#numbers.set(key, at + 1);
    return at + 1;
  }
}

/** The metadata as a block of text; empty for none. Per-hop headers stay here. Plain objects that come again as they were are not encoded again. */
export function metadataBlock(taken: Taken): string {
  return taken instanceof Snapshot ? (taken.block ??= encode(Metadata.over(taken))) : encode(taken);
}

function encode(metadata: Metadata): string {
  if (metadata.size === 0) return "";
  const block = encodeMetadata(flowing(metadata));
  if (metadata.size > mostMetadata || Buffer.byteLength(block) > longestMetadata)
    throw errors.payloadTooLarge(wireId, `metadata of ${metadata.size} entries and ${block.length} characters`);
  return block;
}

function* flowing(metadata: Metadata): IterableIterator<[string, string]> {
  for (const entry of metadata) if (!isPerHop(entry[0].toLowerCase())) yield entry;
}

/** What the peer has been told, so that a request says it by number: routes, and blocks of metadata that came twice in a row. */
export class Tables {
  readonly #writer: FrameWriter;
  readonly #routes = new Slots<Route>(defaults.routes);
  readonly #blocks = new Slots<string>(defaults.metadata);
  #lastRoute: Route | undefined;
  #lastNumber = 0;
  #lastBlock = "";
  #lastBlockNumber = 0;

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  /** The peer keeps this many. */
  limit(routes: number, metadata: number): void {
    this.#routes.size = routes;
    this.#blocks.size = metadata;
  }

  route(route: Route): number {
    if (route === this.#lastRoute) return this.#lastNumber;
    let number = this.#routes.get(route);
    if (number === undefined) {
      const block = encodeRoute(route);
      if (Buffer.byteLength(block) > longestEntry)
        throw errors.badRequest(wireId, `names of more than ${longestEntry} bytes`);
      number = this.#routes.add(route);
      this.#writer.frame(Frame.define, 0, number, block);
    }
    this.#lastRoute = route;
    this.#lastNumber = number;
    return number;
  }

  /** The number of a block; 0 when it is to stand in the frame: it has not come before. */
  block(block: string): number {
    if (block === this.#lastBlock && this.#lastBlockNumber > 0) return this.#lastBlockNumber;
    let number = this.#blocks.get(block);
    if (number === undefined) {
      // What differs from call to call (traces, ids) would only push out what does not.
      if (block !== this.#lastBlock || this.#blocks.size === 0 || Buffer.byteLength(block) > longestEntry) {
        this.#lastBlock = block;
        this.#lastBlockNumber = 0;
        return 0;
      }
      number = this.#blocks.add(block);
      this.#writer.frame(Frame.define, Flag.metadata, number, block);
    }
    this.#lastBlock = block;
    this.#lastBlockNumber = number;
    return number;
  }
}
