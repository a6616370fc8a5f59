import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { getComments } from "@bufbuild/protoplugin";
import { bindingsOf, type Binding } from "./http-rule.ts";

/** What is known of an endpoint beside its types. */
export interface EndpointFacts {
  readonly name: string;
  readonly method: string;
  readonly kind: string;
  readonly idempotent: boolean;
  readonly deprecated: boolean;
  readonly metadata: Readonly<Record<string, string>>;
}

const kinds = {
  unary: "unary",
  server_streaming: "server",
  client_streaming: "client",
  bidi_streaming: "bidi",
} as const;

export function endpointOf(method: DescMethod): EndpointFacts {
  const name = `${method.parent.name}.${method.name}`;
  return {
    name,
    method: method.localName,
    kind: kinds[method.methodKind],
    idempotent: method.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN,
    deprecated: method.deprecated,
    metadata: { ...httpMetadata(name, bindingsOf(method)), ...docs(method) },
  };
}

/**
 * The metadata that Go Micro's gateway routes by (`api.Encode`), with lists joined by commas. Each method goes with each path there, so that of
 * several bindings those are taken that say no more than was written.
 */
function httpMetadata(endpoint: string, bindings: readonly Binding[]): Record<string, string> {
  const [first] = bindings;
  if (first === undefined) return {};
  const all = new Set(bindings.map(({ method, path }) => `${method} ${path}`));
  const methods = unique(bindings.map(({ method }) => method));
  const paths = unique(bindings.map(({ path }) => path));
  const product = methods.length * paths.length === all.size;
  const same = bindings.filter(({ method }) => method === first.method).map(({ path }) => path);
  return {
    endpoint,
    handler: "rpc",
    method: product ? methods.join(",") : first.method,
    path: (product ? paths : unique(same)).join(","),
    ...(first.body === "" ? {} : { body: first.body }),
  };
}

/** First paragraph of the comment, and what follows `@example`: what tools show (Go's WithEndpointDocs). */
function docs(method: DescMethod): Record<string, string> {
  const { leading = "", trailing = "" } = getComments(method);
  const text = `${unstarred(leading)}\n${unstarred(trailing)}`.replaceAll(/^ /gm, "").trim();
  const [prose = "", ...examples] = text.split(/^@example\b/m);
  const [first = ""] = prose.trim().split(/\n\s*\n/);
  const description = first.replaceAll(/\s*\n\s*/g, " ").trim();
  const example = (examples[0] ?? "").trim().replaceAll(/\s*\n\s*/g, " ");
  return { ...(description === "" ? {} : { description }), ...(example === "" ? {} : { example }) };
}

/** `/** … *\/` is a comment that begins with a star. */
const unstarred = (comment: string): string => comment.replace(/^\*+(?=\s)/, "");

function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}
