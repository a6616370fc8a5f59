// Written by `npm run generate` from the driver folders.
import type { Broker } from "./broker.ts";
import type { Codec } from "./codec.ts";
import type { Driver } from "./internal/driver.ts";
import { loadFrom, type DriverTable } from "./internal/load-driver.ts";
import type { Logger } from "./logger.ts";
import type { Registry } from "./registry.ts";
import type { Selector } from "./selector.ts";
import type { Transport } from "./transport.ts";

export type { Driver } from "./internal/driver.ts";

/** The concerns whose component can be chosen by name, and what each is. */
export interface Concerns {
  readonly registry: Registry;
  readonly transport: Transport;
  readonly codec: Codec;
  readonly selector: Selector;
  readonly broker: Broker;
  readonly logger: Logger;
}

const tables: { readonly [C in keyof Concerns]: DriverTable<Concerns[C]> } = {
  registry: {
    local: () => import("./registry/local.ts"),
    mdns: () => import("./registry/mdns.ts"),
    memory: () => import("./registry/memory.ts"),
  },
  transport: {
    grpc: () => import("./transport/grpc.ts"),
    http: () => import("./transport/http.ts"),
    memory: () => import("./transport/memory.ts"),
  },
  codec: {
    bytes: () => import("./codec/bytes.ts"),
    json: () => import("./codec/json.ts"),
    "json-rpc": () => import("./codec/json-rpc.ts"),
    "proto-rpc": () => import("./codec/proto-rpc.ts"),
    protobuf: () => import("./codec/protobuf.ts"),
    text: () => import("./codec/text.ts"),
  },
  selector: {
    p2c: () => import("./selector/p2c.ts"),
    random: () => import("./selector/random.ts"),
    "round-robin": () => import("./selector/round-robin.ts"),
  },
  broker: {
    http: () => import("./broker/http.ts"),
    memory: () => import("./broker/memory.ts"),
  },
  logger: {
    console: () => import("./logger/console.ts"),
    memory: () => import("./logger/memory.ts"),
    noop: () => import("./logger/noop.ts"),
  },
};

/** The names that {@link loadDriver} knows for a concern. */
export function driverNames(concern: keyof Concerns): string[] {
  return Object.keys(tables[concern]);
}

/**
 * A driver by its name (`MICRO_REGISTRY=etcd`), loaded when it is asked for. A name that looks like a package or a path (`@acme/x`,
 * `./x.js`) is imported as it is and must export `driver` too. NOT_FOUND lists the names; PACKAGE_MISSING says what to install.
 */
export function loadDriver<C extends keyof Concerns>(concern: C, name: string): Promise<Driver<Concerns[C]>> {
  return loadFrom(concern, tables[concern] as DriverTable<Concerns[C]>, name);
}
