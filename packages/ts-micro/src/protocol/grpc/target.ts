import type { Kind } from "../../context.ts";
import type { CallHandler, CallTarget, Route } from "../../protocol.ts";
import { byUnary } from "../fast/by-unary.ts";

/** Where the calls of a path go: the server's handler, or a service that gRPC brings. */
export type Target = Pick<CallHandler, "kindOf" | "supports" | "unary" | "stream">;

/** The same, with unary calls that settle by themselves. */
export type DirectTarget = Target & Required<Pick<CallHandler, "target" | "direct">>;

/** A service of gRPC's own; its endpoints are whole paths. */
export interface BuiltIn extends Target {
  /** The server takes no new calls: what only waits has to end. */
  drain(): void;
}

/** A path and content type that calls come with, looked up once. */
export class Served {
  readonly route: Route;
  readonly kind: Kind;
  readonly calls: DirectTarget;
  /** Of unary calls. */
  readonly target: CallTarget | undefined;

  constructor(route: Route, kind: Kind, calls: DirectTarget) {
    this.route = route;
    this.kind = kind;
    this.calls = calls;
    this.target = kind === "unary" ? calls.target(route) : undefined;
  }
}

/** `target`, with `direct` made of `unary` where it has none. */
export function directTarget(target: Target & Partial<DirectTarget>): DirectTarget {
  if (target.direct !== undefined && target.target !== undefined) return target as DirectTarget;
  return {
    kindOf: (endpoint) => target.kindOf(endpoint),
    supports: (contentType) => target.supports(contentType),
    unary: (call, body) => target.unary(call, body),
    stream: (call, stream) => target.stream(call, stream),
    ...byUnary(target),
  };
}
