import type { Filter } from "./context.ts";
import type { MicroError } from "./errors.ts";
import type { Node } from "./wire/registry-record.ts";

export type { Filter } from "./context.ts";

/**
 * What an attempt without a fault of the node's says of it, when it was no success: `alive`, it answered with an error of the handler's, whose
 * latency is not that of an answer; `nothing`, it was given up, after `ms` without an answer, or never sent (`ms` is 0).
 */
export type Telling = "alive" | "nothing";

/** Client-side choice of a node. In memory, synchronous; one instance serves all services of a client. */
export interface Selector {
  /** `p2c`, `random`, `round-robin` … */
  readonly name: string;
  /**
   * One of `nodes` (never empty), none of `exclude` while another is left: those failed earlier in this very call.
   * Ejected nodes are taken only when nothing else is there.
   */
  select(service: string, nodes: readonly Node[], exclude?: ReadonlySet<string>): Node;
  /** An attempt on `node` begins. */
  started(service: string, node: Node): void;
  /**
   * It ended after `ms`; `error` only when the node is to blame (unreachable, lost, timed out, refusing), not for the handler's own errors.
   * Without `error` and `tells` it was a success.
   */
  ended(service: string, node: Node, ms: number, error?: MicroError, tells?: Telling): void;
  /** Forgets what it learned, of one service or of all. */
  reset(service?: string): void;
}

/** Applies `filters` in order. */
export type Filters = readonly Filter[];
