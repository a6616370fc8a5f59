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
import type { Protocol } from "./protocol.ts";
import { connectProtocol } from "./protocol/connect.ts";
import { fast } from "./protocol/fast.ts";
import { grpcWebProtocol } from "./protocol/grpc-web.ts";
import { grpc } from "./protocol/grpc.ts";
import { http, type HttpOptions } from "./protocol/http.ts";
import { mucp } from "./protocol/mucp.ts";
import { nameOf, type ProtocolName } from "./protocol-names.ts";
import type { Registry } from "./registry.ts";
import { cachedRegistry, type CachedRegistry } from "./registry/cached.ts";
import type { Selector } from "./selector.ts";
import type { CorsOptions } from "./server.ts";
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
}

/** Makes the core over components that were chosen already. */
export async function makeCore(of: {
  registry: Registry;
  transport: Transport;
  selector: Selector | string | undefined;
  codecs: readonly Codec[];
  /** Names and objects; undefined for all. */
  serving: readonly (Protocol | string)[] | undefined;
  calling: readonly (Protocol | string)[] | undefined;
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

/** Protocols of one process side by side: each is made once, whoever uses it. */
class Protocols {
  readonly #parts: ProtocolParts;
  readonly #made = new Map<string, Protocol>();

  constructor(parts: ProtocolParts) {
    this.#parts = parts;
  }

  /** Those chosen: objects as they are, names made; without a choice all that fit the transport. */
  choose(choice: readonly (Protocol | string)[] | undefined): [Protocol, ...Protocol[]] {
    // Only mucp stands on a transport; what has no sockets cannot carry the others.
    const all = this.#parts.transport.name === "http" ? Object.keys(makers) : ["mucp"];
    const chosen = (choice ?? all).map((one) => (typeof one === "string" ? this.#named(one) : one));
    if (chosen.length === 0) throw errors.badRequest("ts-micro", "protocols: an empty list");
    return chosen as [Protocol, ...Protocol[]];
  }

  /** Those that were made here. */
  made(): Protocol[] {
    return [...this.#made.values()];
  }

  #named(name: string): Protocol {
    let protocol = this.#made.get(name);
    if (protocol === undefined) {
      protocol = makers[nameOf(name)](this.#parts);
      this.#made.set(name, protocol);
    }
    return protocol;
  }
}
