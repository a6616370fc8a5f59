import type { Clock } from "./clock.ts";
import { errors } from "./errors.ts";
import type { Protocol } from "./protocol.ts";
import type { HttpOptions } from "./protocol/http.ts";
import type { CorsOptions } from "./server.ts";
import type { ClientTlsOptions } from "./tls.ts";
import type { Transport } from "./transport.ts";

/** What protocols are made of. */
export interface ProtocolParts {
  readonly transport: Transport;
  readonly tls: ClientTlsOptions | undefined;
  /** Pool and TLS of plain HTTP. */
  readonly http: HttpOptions;
  readonly cors: CorsOptions | undefined;
  readonly clock: Clock;
}

/**
 * By name, the one that is preferred first: a node that speaks several is called by the first of them, and a connection goes to the first
 * that wants it. Plain HTTP takes what is left.
 */
const makers: Readonly<Record<string, (parts: ProtocolParts) => Promise<Protocol>>> = {
  fast: async ({ clock, tls }) => (await import("./protocol/fast.ts")).fast({ clock, tls }),
  mucp: async ({ clock, transport }) => (await import("./protocol/mucp.ts")).mucp({ transport, clock }),
  grpc: async ({ clock, tls }) => (await import("./protocol/grpc.ts")).grpc({ clock, tls }),
  connect: async ({ clock, cors }) => (await import("./protocol/connect.ts")).connectProtocol({ clock, cors }),
  "grpc-web": async ({ clock, cors }) => (await import("./protocol/grpc-web.ts")).grpcWebProtocol({ clock, cors }),
  http: async ({ http }) => (await import("./protocol/http.ts")).http(http),
};

/** Protocols of one process side by side: each is made once, whoever uses it. */
export class Protocols {
  readonly #parts: ProtocolParts;
  readonly #made = new Map<string, Promise<Protocol>>();

  constructor(parts: ProtocolParts) {
    this.#parts = parts;
  }

  /** Those chosen: objects as they are, names made; without a choice all that fit the transport. */
  async choose(choice: readonly (Protocol | string)[] | undefined): Promise<[Protocol, ...Protocol[]]> {
    // Only mucp stands on a transport; what has no sockets cannot carry the others.
    const all = this.#parts.transport.name === "http" ? Object.keys(makers) : ["mucp"];
    const chosen = await Promise.all(
      (choice ?? all).map((one) => (typeof one === "string" ? this.#named(one) : Promise.resolve(one))),
    );
    if (chosen.length === 0) throw errors.badRequest("ts-micro", "protocols: an empty list");
    return chosen as [Protocol, ...Protocol[]];
  }

  /** Those that were made here. */
  async made(): Promise<Protocol[]> {
    return Promise.all(this.#made.values());
  }

  #named(name: string): Promise<Protocol> {
    let protocol = this.#made.get(name);
    if (protocol === undefined) {
      protocol = (makers[name] as (typeof makers)[string])(this.#parts);
      this.#made.set(name, protocol);
    }
    return protocol;
  }
}

const names = Object.keys(makers);

/**
 * What MICRO_PROTOCOL, MICRO_CLIENT and MICRO_SERVER say (Go's word `rpc` is mucp), one name or several with commas; undefined for `auto`.
 * @throws MicroError UNSUPPORTED, which lists the names
 */
export function protocolNames(text: string | undefined): readonly string[] | undefined {
  if (text === undefined || text === "auto") return undefined;
  return text.split(",").map((word) => {
    const name = word.trim() === "rpc" ? "mucp" : word.trim();
    if (!names.includes(name))
      throw errors.unsupported("ts-micro", `protocol "${name}" is not known; there are: auto, ${names.join(", ")}`);
    return name;
  });
}
