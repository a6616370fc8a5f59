import type { Clock } from "./clock.ts";
import type { Codec } from "./codec.ts";
import { bytesCodec } from "./codec/bytes.ts";
import { jsonRpcCodec } from "./codec/json-rpc.ts";
import { jsonCodec } from "./codec/json.ts";
import { protoRpcCodec } from "./codec/proto-rpc.ts";
import { protobufCodec } from "./codec/protobuf.ts";
import { textCodec } from "./codec/text.ts";
import { loadDriver } from "./drivers.ts";
import { errors } from "./errors.ts";
import type { Acceptor, Protocol } from "./protocol.ts";
import { http1Carrier, http2Carrier } from "./protocol/common/carriers.ts";
import { connectProtocol } from "./protocol/connect.ts";
import { fast } from "./protocol/fast.ts";
import { grpcWebProtocol } from "./protocol/grpc-web.ts";
import { grpc } from "./protocol/grpc.ts";
import { http, type HttpOptions } from "./protocol/http.ts";
import { mucp } from "./protocol/mucp.ts";
import type { ProtocolName } from "./protocol-names.ts";
import type { Registry } from "./registry.ts";
import { cachedRegistry, type CachedRegistry } from "./registry/cached.ts";
import type { Selector } from "./selector.ts";
import type { CorsOptions, HttpRoute } from "./server.ts";
import type { ClientTlsOptions } from "./tls.ts";
import type { Transport } from "./transport.ts";

// What the start of a service needs beside it is loaded with it, in one file: each file costs a start more than the code in it.
export { debugEndpoints } from "./debug/handlers.ts";
export { localRegistry } from "./registry/local.ts";
export { ServerEngine } from "./server/engine.ts";
export { httpParts } from "./server/http/parts.ts";
export { recordOf } from "./server/record.ts";
export { httpTransport } from "./transport/http.ts";

/** What the first call, the first publish, or `start` needs at once; loaded then, so that importing the package costs little. */
export interface Core {
  readonly cached: CachedRegistry;
  /** Undefined for the usual one, which a client loads. */
  readonly selector: Selector | undefined;
  /** What this side serves, and what it calls by. */
  readonly serving: readonly [Protocol, ...Protocol[]];
  readonly calling: readonly [Protocol, ...Protocol[]];
  /** Those made here, for whoever starts and closes them. */
  readonly protocols: readonly Protocol[];
  readonly codecs: readonly Codec[];
  /** What takes HTTP connections for routes, where what is served does not. */
  readonly carriers: (routes: readonly HttpRoute[]) => readonly Acceptor[];
}

/** Objects and names, in order of preference; `auto` is all that are not among them. */
export type ProtocolChoice = readonly (Protocol | ProtocolName | "auto")[];

/** Makes the core over components that were chosen already. */
export async function makeCore(of: {
  registry: Registry;
  transport: Transport;
  selector: Selector | string | undefined;
  codecs: readonly Codec[];
  /** Undefined for all. */
  serving: ProtocolChoice | undefined;
  calling: ProtocolChoice | undefined;
  tls: ClientTlsOptions | undefined;
  http: HttpOptions;
  cors: CorsOptions | undefined;
  clock: Clock;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<Core> {
  const { registry, transport, selector, codecs, clock, env, tls, http, cors } = of;
  const protocols = new Protocols({ transport, tls, http: { ...http, cors }, cors, clock });
  const [serving, calling] = [protocols.choose(of.serving), protocols.choose(of.calling)];
  return {
    cached: cachedRegistry(registry, { clock }),
    selector:
      typeof selector === "object"
        ? selector
        : selector === undefined || selector === "p2c"
          ? undefined
          : (await loadDriver("selector", selector)).fromAddress(undefined, env),
    serving,
    calling,
    protocols: protocols.made(),
    codecs: [jsonCodec(), protobufCodec(), bytesCodec(), textCodec(), jsonRpcCodec(), protoRpcCodec(), ...codecs],
    carriers: (routes) => [
      ...(serving.some(({ name }) => name === "grpc") ? [] : [http2Carrier(clock, routes)]),
      ...(serving.some(({ name }) => name === "http") ? [] : [http1Carrier(clock, routes)]),
    ],
  };
}

/** What protocols are made of. */
interface ProtocolParts {
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
const makers: Readonly<Record<ProtocolName, (parts: ProtocolParts) => Protocol>> = {
  fast: ({ clock, tls }) => fast({ clock, tls }),
  mucp: ({ clock, transport }) => mucp({ transport, clock }),
  grpc: ({ clock, tls }) => grpc({ clock, tls }),
  connect: ({ clock, cors }) => connectProtocol({ clock, cors }),
  "grpc-web": ({ clock, cors }) => grpcWebProtocol({ clock, cors }),
  http: (parts) => http(parts.http),
};

const allNames = Object.keys(makers) as ProtocolName[];

/** Protocols of one process side by side: each is made once, whoever uses it. */
class Protocols {
  readonly #parts: ProtocolParts;
  readonly #made = new Map<string, Protocol>();

  constructor(parts: ProtocolParts) {
    this.#parts = parts;
  }

  /** Those chosen, each once: objects as they are, names made; `auto` is all that fit the transport and are not among the others. */
  choose(choice: ProtocolChoice = ["auto"]): [Protocol, ...Protocol[]] {
    const given = new Set(choice.map((one) => (typeof one === "string" ? one : one.name)));
    // Only mucp stands on a transport; what has no sockets cannot carry the others.
    const all = this.#parts.transport.name === "http" ? allNames : (["mucp"] as const);
    const others = all.filter((name) => !given.has(name));
    const wanted = choice.flatMap((one) => (one === "auto" ? others : [one]));
    const chosen = new Set(wanted.map((one) => (typeof one === "string" ? this.#named(one) : one)));
    if (chosen.size === 0) throw errors.badRequest("ts-micro", "protocols: an empty list");
    return [...chosen] as [Protocol, ...Protocol[]];
  }

  /** Those that were made here. */
  made(): Protocol[] {
    return [...this.#made.values()];
  }

  #named(name: ProtocolName): Protocol {
    let protocol = this.#made.get(name);
    if (protocol === undefined) {
      protocol = makers[name](this.#parts);
      this.#made.set(name, protocol);
    }
    return protocol;
  }
}
