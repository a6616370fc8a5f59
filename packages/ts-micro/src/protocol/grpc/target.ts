import type { CallHandler } from "../../protocol.ts";

/** Where the calls of a path go: the server's handler, or a service that gRPC brings. */
export type Target = Pick<CallHandler, "kindOf" | "supports" | "unary" | "stream">;

/** A service of gRPC's own; its endpoints are whole paths. */
export interface BuiltIn extends Target {
  /** The server takes no new calls: what only waits has to end. */
  drain(): void;
}
