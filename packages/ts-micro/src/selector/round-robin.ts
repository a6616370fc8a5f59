import type { Driver } from "../internal/driver.ts";
import type { Selector } from "../selector.ts";
import { fromPlace } from "./common/exclude.ts";

/** At most this many services are counted; past it all counters begin anew. */
const limit = 4096;

/**
 * Each node in turn. The counter is kept per service and across calls (the reference's starts at a random place in each call); a node
 * that failed earlier in the same call is stepped over. Learns nothing: a dead node stays in rotation.
 */
export function roundRobinSelector(): Selector {
  const counters = new Map<string, { next: number }>();
  return {
    name: "round-robin",
    select(service, nodes, exclude) {
      let counter = counters.get(service);
      if (counter === undefined) {
        if (counters.size >= limit) counters.clear();
        counter = { next: 0 };
        counters.set(service, counter);
      }
      const place = counter.next % nodes.length;
      counter.next = place + 1;
      return fromPlace(nodes, place, exclude);
    },
    started() {},
    ended() {},
    reset(service) {
      if (service === undefined) counters.clear();
      else counters.delete(service);
    },
  };
}

/** Chosen by name: `MICRO_SELECTOR=round-robin`. */
export const driver: Driver<Selector> = { name: "round-robin", fromAddress: () => roundRobinSelector() };
