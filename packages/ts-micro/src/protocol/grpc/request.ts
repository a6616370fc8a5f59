import type { Http2Headers } from "../../backends/http2.ts";
import type { Kind } from "../../context.ts";
import { Metadata, type MetadataInit } from "../../metadata.ts";
import type { Route } from "../../protocol.ts";
import { grpcType } from "../../wire/grpc/content-type.ts";
import { callPath } from "../../wire/grpc/path.ts";
import { encodeTimeout } from "../../wire/grpc/timeout.ts";
import { isPerHop } from "../../wire/headers.ts";
import { headerText } from "../../wire/http/text.ts";
import { canonicalHeader } from "../../wire/http1/names.ts";

/** How a server knows a client that goes elsewhere when it is refused. grpc-go never forwards this header, so that it cannot leak. */
export const userAgent = "grpc-node-ts-micro";
/** Who waits for no reply does not hear of a refusal. */
export const onewayAgent = "grpc-node-ts-micro-oneway";
/** Ours: the kind of a stream, since the path of a call does not tell. Absent beside our user agent: a unary call. */
export const kindHeader = "micro-kind";

/** Most routes that are remembered. */
const most = 1024;

type Head = Record<string, string>;

/** What the requests of a route have in common. */
interface Common {
  readonly head: Head;
  /** The last one without metadata, and its time: calls mostly have the same. */
  left: number;
  plain: Http2Headers;
}

/** Heads of the requests to one node. */
export class RequestHeads {
  readonly #scheme: "http" | "https";
  readonly #authority: string;
  readonly #gzip: boolean;
  /** By service, endpoint and content type. */
  readonly #routes = new Map<string, Map<string, Map<string, Common>>>();
  #size = 0;

  constructor(scheme: "http" | "https", authority: string, gzip: boolean) {
    this.#scheme = scheme;
    this.#authority = authority;
    this.#gzip = gzip;
  }

  /** `remaining`: milliseconds to the deadline. Metadata never overrides a header of the protocol. */
  of(route: Route, kind: Kind, remaining: number, sent: MetadataInit | undefined): Http2Headers {
    const common = this.#route(route);
    // A deadline less the time is seldom the round limit that it was made of, and each one that differs is new to both ends' tables.
    const left = remaining < 1000 ? remaining : Math.ceil(remaining - 1e-6);
    const plain = kind === "unary" && sent === undefined;
    if (plain && left === common.left) return common.plain;
    const out: Head = { ...common.head };
    if (kind !== "unary") out[kindHeader] = kind;
    if (left !== Infinity) out["grpc-timeout"] = encodeTimeout(left);
    if (plain) {
      common.left = left;
      common.plain = out;
    } else if (sent !== undefined)
      for (const [name, value] of sent instanceof Metadata ? sent : Metadata.from(sent)) {
        const lower = name.toLowerCase();
        if (!isPerHop(lower) && lower !== "http2-settings" && canonicalHeader(lower) !== undefined)
          out[lower] = headerText(value);
      }
    return out;
  }

  #route(route: Route): Common {
    const { service, endpoint, contentType } = route;
    const known = this.#routes.get(service)?.get(endpoint)?.get(contentType);
    if (known !== undefined) return known;
    const head: Head = {
      ":method": "POST",
      ":scheme": this.#scheme,
      ":authority": this.#authority,
      // Go's servers take any bytes; those of a header are ASCII.
      ":path": callPath(service, endpoint).replace(/[^\x21-\x7e]/g, (char) => encodeURIComponent(char)),
      "content-type": grpcType(contentType),
      te: "trailers",
      "user-agent": userAgent,
      "grpc-accept-encoding": "gzip",
      ...(this.#gzip ? { "grpc-encoding": "gzip" } : {}),
    };
    const common = { head, left: Infinity, plain: head };
    this.#remember(route, common);
    return common;
  }

  #remember({ service, endpoint, contentType }: Route, common: Common): void {
    if (this.#size++ >= most) {
      this.#routes.clear();
      this.#size = 1;
    }
    let endpoints = this.#routes.get(service);
    if (endpoints === undefined) this.#routes.set(service, (endpoints = new Map<string, Map<string, Common>>()));
    let types = endpoints.get(endpoint);
    if (types === undefined) endpoints.set(endpoint, (types = new Map<string, Common>()));
    types.set(contentType, common);
  }
}
