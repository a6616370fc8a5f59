import type { Http2Headers } from "../../backends/http2.ts";
import type { CallHead } from "../../protocol.ts";
import { grpcType } from "../../wire/grpc/content-type.ts";
import { callPath } from "../../wire/grpc/path.ts";
import { encodeTimeout } from "../../wire/grpc/timeout.ts";
import { isPerHop } from "../../wire/headers.ts";
import { headerText } from "../../wire/http/text.ts";
import { canonicalHeader } from "../../wire/http1/names.ts";

/** How a server knows a client that goes elsewhere when it is refused. grpc-go never forwards this header, so that it cannot leak. */
export const userAgent = "grpc-node-ts-micro";
/** Ours: the kind of a stream, since the path of a call does not tell. Absent beside our user agent: a unary call. */
export const kindHeader = "micro-kind";

/** Most paths that are remembered. */
const most = 1024;

/** Heads of the requests to one node. */
export class RequestHeads {
  readonly #scheme: "http" | "https";
  readonly #authority: string;
  readonly #gzip: boolean;
  readonly #paths = new Map<string, string>();
  readonly #types = new Map<string, string>();

  constructor(scheme: "http" | "https", authority: string, gzip: boolean) {
    this.#scheme = scheme;
    this.#authority = authority;
    this.#gzip = gzip;
  }

  /** Metadata never overrides a header of the protocol. */
  of(head: CallHead, now: number): Http2Headers {
    const { endpoint, contentType, kind, deadline, metadata } = head;
    const out: Record<string, string> = {
      ":method": "POST",
      ":scheme": this.#scheme,
      ":authority": this.#authority,
      ":path": this.#path(head.service, endpoint),
      "content-type": this.#type(contentType),
      te: "trailers",
      "user-agent": userAgent,
      "grpc-accept-encoding": "gzip",
    };
    if (this.#gzip) out["grpc-encoding"] = "gzip";
    if (kind !== "unary") out[kindHeader] = kind;
    if (deadline !== Infinity) out["grpc-timeout"] = encodeTimeout(deadline - now);
    if (metadata !== undefined)
      for (const [name, value] of metadata) {
        const lower = name.toLowerCase();
        if (!isPerHop(lower) && lower !== "http2-settings" && canonicalHeader(lower) !== undefined)
          out[lower] = headerText(value);
      }
    return out;
  }

  #path(service: string, endpoint: string): string {
    const key = `${service} ${endpoint}`;
    let path = this.#paths.get(key);
    if (path === undefined) {
      // Go's servers take any bytes; those of a header are ASCII.
      path = callPath(service, endpoint).replace(/[^\x21-\x7e]/g, (char) => encodeURIComponent(char));
      if (this.#paths.size < most) this.#paths.set(key, path);
    }
    return path;
  }

  #type(contentType: string): string {
    let type = this.#types.get(contentType);
    if (type === undefined) {
      type = grpcType(contentType);
      if (this.#types.size < most) this.#types.set(contentType, type);
    }
    return type;
  }
}
