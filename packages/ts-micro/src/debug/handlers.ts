import type { ServiceRecord } from "../registry.ts";
import type { RoutedEndpoint, ServerStats } from "../server.ts";

/** What the debug handlers read. */
export interface DebugSource {
  stats(): ServerStats;
  record(): ServiceRecord;
}

/**
 * `Debug.Health`, `Debug.Stats` (Go's shapes: wire spec §14, v4:debug/handler/debug.go) and `Debug.Describe`, the whole record of this node,
 * for registries that cannot carry it. Not advertised.
 */
export function debugEndpoints(source: DebugSource): RoutedEndpoint[] {
  const started = Math.floor(Date.now() / 1000);
  const stats = (): object => {
    const now = Math.floor(Date.now() / 1000);
    const { requests, failures, inFlight } = source.stats();
    // `threads` are Go's goroutines; here what is under way.
    return {
      timestamp: now,
      started,
      uptime: now - started,
      memory: process.memoryUsage().rss,
      threads: inFlight,
      gc: 0,
      requests,
      errors: failures,
    };
  };
  return [unary("Health", () => ({ status: "ok" })), unary("Stats", stats), unary("Describe", () => source.record())];
}

function unary(method: string, handler: () => object): RoutedEndpoint {
  return { name: `Debug.${method}`, kind: "unary", definition: {}, handler, internal: true };
}
