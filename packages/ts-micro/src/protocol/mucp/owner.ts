import type { Clock } from "../../clock.ts";
import { MicroError } from "../../errors.ts";
import type { Linked } from "../../internal/chain.ts";
import type { Expiring } from "../../internal/deadlines.ts";
import type { Route } from "../../protocol.ts";
import type { Receiver, Transport } from "../../transport.ts";
import type { Node } from "../../wire/registry-record.ts";

/** Who reports the errors of the client's end, as in Go. */
export const clientId = "go.micro.client";

/** What calls and streams ask of the peer that they belong to. */
export interface Owner {
  readonly node: Node;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Milliseconds that a half-closed stream of a Go node may stay silent. */
  readonly goHalfCloseGrace: number;
  /** The outcome of the entry is known. */
  settled(entry: Entry): void;
}

/** A call or stream under way. */
export interface Pending extends Expiring {
  expire(): void;
  abandon(): void;
}

/** One of a {@link Owner}'s. */
export interface Entry extends Pending, Linked<Entry> {}

/** For a connection that came too late. */
export const silence: Receiver = { message() {}, closed() {} };

/** `unsent`: nothing of the call has left yet. */
export function tooLate(
  { service, endpoint }: Pick<Route, "service" | "endpoint">,
  node: Node,
  unsent: boolean,
): MicroError {
  const detail = `${service} ${endpoint} at ${node.address}: the deadline passed ${unsent ? "before it was sent" : "before the reply"}`;
  return new MicroError({ id: clientId, code: "TIMEOUT", detail, refused: unsent });
}

export function closedPeer(node: Node, unsent: boolean): MicroError {
  const detail = `the connections to ${node.address} were closed`;
  return new MicroError({ id: clientId, code: "CONNECTION_LOST", detail, refused: unsent });
}
