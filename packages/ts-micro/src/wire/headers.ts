/** Header names of mucp, as they stand on HTTP (canonical MIME form). v4:transport/headers/headers.go, wire spec §1.2. */
export const H: {
  readonly service: "Micro-Service";
  readonly endpoint: "Micro-Endpoint";
  readonly method: "Micro-Method";
  readonly id: "Micro-Id";
  readonly stream: "Micro-Stream";
  readonly error: "Micro-Error";
  readonly topic: "Micro-Topic";
  readonly target: "Micro-Target";
  readonly protocol: "Micro-Protocol";
  readonly fromService: "Micro-From-Service";
  readonly namespace: "Micro-Namespace";
  readonly traceId: "Micro-Trace-Id";
  readonly spanId: "Micro-Span-Id";
  readonly contentType: "Content-Type";
  readonly accept: "Accept";
  readonly timeout: "Timeout";
  readonly refused: "Micro-Refused";
  readonly local: "Local";
  readonly remote: "Remote";
} = {
  service: "Micro-Service",
  endpoint: "Micro-Endpoint",
  method: "Micro-Method",
  id: "Micro-Id",
  stream: "Micro-Stream",
  error: "Micro-Error",
  topic: "Micro-Topic",
  target: "Micro-Target",
  protocol: "Micro-Protocol",
  fromService: "Micro-From-Service",
  namespace: "Micro-Namespace",
  traceId: "Micro-Trace-Id",
  spanId: "Micro-Span-Id",
  contentType: "Content-Type",
  accept: "Accept",
  timeout: "Timeout",
  /** Ours: present with value 1 when the server turned the request away before its handler ran. */
  refused: "Micro-Refused",
  local: "Local",
  remote: "Remote",
};

const keep = new Set(["micro-from-service", "micro-namespace", "micro-trace-id", "micro-span-id"]);
const hop = new Set([
  "accept",
  "accept-encoding",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "local",
  "origin",
  "pragma",
  "priority",
  "referer",
  "remote",
  "te",
  "timeout",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-grpc-web",
  "x-user-agent",
]);
const hopPrefix = /^(?:x-micro-|proxy-|grpc-|connect-|sec-|access-control-|:)/;

/** True for a header that belongs to one hop, or to a page and its browser, and must not be forwarded (wire spec §1.9 and appendix A). `key` in lower case. */
export function isPerHop(key: string): boolean {
  if (hop.has(key)) return true;
  if (key.startsWith("micro-")) return !keep.has(key);
  return hopPrefix.test(key);
}

/** Go's textproto canonical form: `x-user-ID` → `X-User-Id`. A name that is no token is returned as it is. */
export function canonicalName(name: string): string {
  const known = cache.get(name);
  if (known !== undefined) return known;
  const canonical = canonicalise(name);
  if (cache.size < 1024 && name.length <= 64) cache.set(flat(name), flat(canonical));
  return canonical;
}

// Names come from peers: a slice of a head would keep all of it alive, so what is kept is rebuilt first.
const cache = new Map<string, string>();
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function canonicalise(name: string): string {
  if (!token.test(name)) return name;
  let out = "";
  let upper = true;
  for (const c of name) {
    out += upper ? c.toUpperCase() : c.toLowerCase();
    upper = c === "-";
  }
  return out;
}

function flat(text: string): string {
  return Buffer.from(text).toString();
}
