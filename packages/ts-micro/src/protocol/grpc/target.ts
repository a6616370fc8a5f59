import type { Kind } from "../../context.ts";
import type { CallTarget, Route } from "../../protocol.ts";
import type { directly, Handler } from "../fast/by-unary.ts";

/** Where the calls of a path go: the server's handler, or a service that gRPC brings. */
export type Target = ReturnType<typeof directly>;

/** A service of gRPC's own; its endpoints are whole paths. */
export interface BuiltIn extends Handler {
  /** The server takes no new calls: what only waits has to end. */
  drain(): void;
}

/** A path and content type that calls come with, looked up once. */
export class Served {
  readonly route: Route;
  readonly kind: Kind;
  readonly calls: Target;
  /** Of unary calls. */
  readonly target: CallTarget | undefined;

  constructor(route: Route, kind: Kind, calls: Target) {
    this.route = route;
    this.kind = kind;
    this.calls = calls;
    this.target = kind === "unary" ? calls.target(route) : undefined;
  }
}
