import type { ServiceRecord } from "../registry.ts";
import type { RoutedEndpoint } from "../server.ts";
import { endpointsOf } from "../server/reflect.ts";
import type { ServerStats } from "../server/engine.ts";

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
  return endpointsOf(
    "Debug",
    {
      health: () => ({ status: "ok" }),
      stats: () => {
        const now = Math.floor(Date.now() / 1000);
        const { requests, failures } = source.stats();
        return {
          timestamp: now,
          started,
          uptime: now - started,
          memory: process.memoryUsage().rss,
          // Go's goroutines; here what is under way.
          threads: source.stats().inFlight,
          gc: 0,
          requests,
          errors: failures,
        };
      },
      describe: () => source.record(),
    },
    { internal: true },
  );
}
