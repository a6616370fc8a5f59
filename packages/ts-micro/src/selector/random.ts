import type { Driver } from "../internal/driver.ts";
import type { Node } from "../registry.ts";
import type { Selector } from "../selector.ts";
import { fromPlace } from "./common/exclude.ts";

export interface RandomSelectorOptions {
  /** Uniform in [0, 1). Default Math.random. */
  random?: (() => number) | undefined;
}

/** Any node, each as likely; never one that failed earlier in the same call while another is left. Learns nothing: a dead node stays in rotation. */
export function randomSelector(options: RandomSelectorOptions = {}): Selector {
  const random = options.random ?? Math.random;
  return {
    name: "random",
    select(_service, nodes, exclude) {
      const n = nodes.length;
      const node = nodes[Math.floor(random() * n)] as Node;
      if (exclude === undefined || exclude.size === 0 || !exclude.has(node.id)) return node;
      for (let draw = 0; draw < 8; draw++) {
        const other = nodes[Math.floor(random() * n)] as Node;
        if (!exclude.has(other.id)) return other;
      }
      return fromPlace(nodes, Math.floor(random() * n), exclude);
    },
    started() {},
    ended() {},
    reset() {},
  };
}

/** Chosen by name: `MICRO_SELECTOR=random`. */
export const driver: Driver<Selector> = { name: "random", fromAddress: () => randomSelector() };
