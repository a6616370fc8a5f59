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
import { grpc } from "./protocol/grpc.ts";
import { mucp } from "./protocol/mucp.ts";
import type { Registry } from "./registry.ts";
import { cachedRegistry, type CachedRegistry } from "./registry/cached.ts";
import type { Selector } from "./selector.ts";
import { p2cSelector } from "./selector/p2c.ts";
import type { ClientTlsOptions } from "./tls.ts";
import type { Transport } from "./transport.ts";

/** What the first call, the first publish, or `start` needs at once; loaded then, so that importing the package costs little. */
export interface Core {
  readonly cached: CachedRegistry;
  readonly selector: Selector;
  readonly protocols: readonly [Protocol, ...Protocol[]];
  readonly codecs: readonly Codec[];
}

/** Makes the core over components that were chosen already. */
export async function makeCore(of: {
  registry: Registry;
  transport: Transport;
  selector: Selector | string | undefined;
  codecs: readonly Codec[];
  tls: ClientTlsOptions | undefined;
  clock: Clock;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<Core> {
  const { registry, transport, selector, codecs, tls, clock, env } = of;
  return {
    cached: cachedRegistry(registry, { clock }),
    selector:
      typeof selector === "object"
        ? selector
        : selector === undefined || selector === "p2c"
          ? p2cSelector({ clock })
          : (await loadDriver("selector", selector)).fromAddress(undefined, env),
    protocols: [mucp({ transport, clock }), grpc({ tls, clock })],
    codecs: [jsonCodec(), protobufCodec(), bytesCodec(), textCodec(), jsonRpcCodec(), protoRpcCodec(), ...codecs],
  };
}
