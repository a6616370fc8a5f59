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
import type { Acceptor, Protocol, WireDefaults } from "./protocol.ts";
import { http1Carrier, http2Carrier } from "./protocol/common/carriers.ts";
import { connectProtocol } from "./protocol/connect.ts";
import { fast } from "./protocol/fast.ts";
import { grpcWebProtocol } from "./protocol/grpc-web.ts";
import { grpc } from "./protocol/grpc.ts";
import { http } from "./protocol/http.ts";
import { mucp } from "./protocol/mucp.ts";
import type { ProtocolName } from "./protocol-names.ts";
import type { Registry } from "./registry.ts";
import { cachedRegistry, type CachedRegistry } from "./registry/cached.ts";
import type { Selector } from "./selector.ts";
import type { HttpRoute } from "./server.ts";
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
  defaults: WireDefaults;
  clock: Clock;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<Core> {
  const { registry, transport, selector, codecs, clock, env } = of;
  const protocols = new Protocols(transport, of.defaults);
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

/**
 * By name, the one that is preferred first: a node that speaks several is called by the first of them, and a connection goes to the first
 * that wants it. Plain HTTP takes what is left.
 */
const makers: Readonly<Record<ProtocolName, (transport: Transport) => Protocol>> = {
  fast: () => fast(),
  mucp: (transport) => mucp({ transport }),
  grpc: () => grpc(),
  connect: () => connectProtocol(),
  "grpc-web": () => grpcWebProtocol(),
  http: () => http(),
};
const allNames = Object.keys(makers) as ProtocolName[];

/** Protocols of one process side by side: each is made once, whoever uses it. */
class Protocols {
  readonly #transport: Transport;
  readonly #defaults: WireDefaults;
  /** By what was asked for; an object that the defaults change nothing of is itself. */
  readonly #known = new Map<Protocol | ProtocolName, Protocol>();

  constructor(transport: Transport, defaults: WireDefaults) {
    this.#transport = transport;
    this.#defaults = defaults;
  }

  /** Those chosen, each once: with the defaults for what they leave open; `auto` is all that fit the transport and are not among the others. */
  choose(choice: ProtocolChoice = ["auto"]): [Protocol, ...Protocol[]] {
    const given = new Set(choice.map((one) => (typeof one === "string" ? one : one.name)));
    // Only mucp stands on a transport; what has no sockets cannot carry the others.
    const all = this.#transport.name === "http" ? allNames : (["mucp"] as const);
    const others = all.filter((name) => !given.has(name));
    const wanted = choice.flatMap((one) => (one === "auto" ? others : [one]));
    const chosen = new Set(wanted.map((one) => this.#of(one)));
    if (chosen.size === 0) throw errors.badRequest("ts-micro", "protocols: an empty list");
    return [...chosen] as [Protocol, ...Protocol[]];
  }

  /** Those that were made here. */
  made(): Protocol[] {
    return [...this.#known].flatMap(([asked, protocol]) => (asked === protocol ? [] : [protocol]));
  }

  #of(asked: Protocol | ProtocolName): Protocol {
    let protocol = this.#known.get(asked);
    if (protocol === undefined) {
      const bare = typeof asked === "string" ? makers[asked](this.#transport) : asked;
      protocol = bare.withDefaults?.(this.#defaults) ?? bare;
      this.#known.set(asked, protocol);
    }
    return protocol;
  }
}
