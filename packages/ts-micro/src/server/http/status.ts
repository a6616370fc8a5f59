import type { HttpExchange, HttpRoute, ServerStats } from "../../server.ts";

/** What the routes for operators read. */
export interface StatusSource {
  readonly service: string;
  readonly version: string;
  stats(): ServerStats;
  /** Connections of its ports: open now, and turned away. */
  ports(): { readonly connections: number; readonly shed: number };
  /** Why calls should not be sent here; empty when they may. */
  unready(): readonly string[];
}

/** `GET /health`: the process is up. `GET /ready`: calls may be sent here, else 503 with the reasons (D-5). */
export function healthRoutes(source: StatusSource): HttpRoute[] {
  return [
    route("/health", (exchange) => json(exchange, 200, { status: "ok" })),
    route("/ready", (exchange) => {
      const reasons = source.unready();
      if (reasons.length === 0) json(exchange, 200, { status: "ok" });
      else json(exchange, 503, { status: "unavailable", reasons });
    }),
  ];
}

/** `GET /metrics`: what the server counts, as Prometheus reads it. */
export function metricsRoute(source: StatusSource): HttpRoute {
  const quoted = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));
  const labels = `{service="${quoted(source.service)}",version="${quoted(source.version)}"}`;
  return route("/metrics", (exchange) => {
    const { requests, failures, inFlight } = source.stats();
    const { connections, shed } = source.ports();
    const metrics: [name: string, type: string, help: string, value: number][] = [
      ["micro_server_requests_total", "counter", "Calls and streams that came in.", requests],
      ["micro_server_failures_total", "counter", "Calls and streams that failed.", failures],
      ["micro_server_in_flight", "gauge", "Calls, streams and messages under way.", inFlight],
      ["micro_server_connections", "gauge", "Open connections.", connections],
      ["micro_server_connections_shed_total", "counter", "Connections turned away.", shed],
      ["process_resident_memory_bytes", "gauge", "Resident memory.", process.memoryUsage.rss()],
      ["process_uptime_seconds", "gauge", "Age of the process.", process.uptime()],
    ];
    const text = metrics.map(
      ([name, type, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${labels} ${value}\n`,
    );
    answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", text.join(""));
  });
}

function route(path: string, handle: (exchange: HttpExchange) => void): HttpRoute {
  return {
    name: path.slice(1),
    match: (method, asked) => asked === path && (method === "GET" || method === "HEAD"),
    handle: async (exchange) => handle(exchange),
  };
}

function json(exchange: HttpExchange, status: number, value: object): void {
  answer(exchange, status, "application/json", `${JSON.stringify(value)}\n`);
}

function answer(exchange: HttpExchange, status: number, contentType: string, text: string): void {
  const body = Buffer.from(text);
  exchange.head(status, {
    "content-type": contentType,
    "content-length": String(body.length),
    "cache-control": "no-store",
  });
  exchange.end(exchange.method === "HEAD" ? undefined : body);
}
