import { carefulSelector } from "./client/careful.ts";
import type { Clock } from "./clock.ts";
import type { Codec } from "./codec.ts";
import { bytesCodec } from "./codec/bytes.ts";
import { jsonRpcCodec } from "./codec/json-rpc.ts";
import { jsonCodec } from "./codec/json.ts";
import { protoRpcCodec } from "./codec/proto-rpc.ts";
import { protobufCodec } from "./codec/protobuf.ts";
import { textCodec } from "./codec/text.ts";
import { loadDriver } from "./drivers.ts";
import type { Protocol } from "./protocol.ts";
import type { HttpOptions } from "./protocol/http.ts";
import { Protocols } from "./protocols.ts";
import type { Registry } from "./registry.ts";
import { cachedRegistry, type CachedRegistry } from "./registry/cached.ts";
import type { Selector } from "./selector.ts";
import { p2cSelector } from "./selector/p2c.ts";
import type { CorsOptions } from "./server.ts";
import type { ClientTlsOptions } from "./tls.ts";
import type { Transport } from "./transport.ts";

/** What the first call, the first publish, or `start` needs at once; loaded then, so that importing the package costs little. */
export interface Core {
  readonly cached: CachedRegistry;
  readonly selector: Selector;
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
  const [serving, calling] = await Promise.all([protocols.choose(of.serving), protocols.choose(of.calling)]);
  return {
    cached: cachedRegistry(registry, { clock }),
    selector:
      selector === undefined || selector === "p2c"
        ? p2cSelector({ clock })
        : carefulSelector(
            typeof selector === "object"
              ? selector
              : (await loadDriver("selector", selector)).fromAddress(undefined, env),
          ),
    serving,
    calling,
    protocols: await protocols.made(),
    codecs: [jsonCodec(), protobufCodec(), bytesCodec(), textCodec(), jsonRpcCodec(), protoRpcCodec(), ...codecs],
  };
}
