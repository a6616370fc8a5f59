import type { Http2Session } from "../../backends/http2.ts";
import type { Node } from "../../wire/registry-record.ts";
import type { Pending } from "../mucp/owner.ts";
import type { RequestHeads } from "./request.ts";
import type { Settings } from "./settings.ts";

/** What calls and streams ask of the peer that they belong to. */
export interface Owner {
  readonly node: Node;
  readonly settings: Settings;
  readonly heads: RequestHeads;
  /** The outcome of the entry is known. */
  settled(entry: Entry): void;
}

/** A call or stream under way. */
export interface Entry extends Pending {
  /** There is a connection. */
  begin(session: Http2Session): void;
  /** There will be none. */
  undialled(error: unknown): void;
}
