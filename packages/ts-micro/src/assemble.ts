import type { Broker } from "./broker.ts";
import { logErrors } from "./broker/common/log.ts";
import type { CallInterceptor, ClientInterceptor } from "./client.ts";
import type { ClientEngine } from "./client/engine.ts";
import type { ShellOptions } from "./client/shell.ts";
import type { CorsOptions, LocalService } from "./server.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { Codec } from "./codec.ts";
import type { Filter } from "./context.ts";
import type { Core, ProtocolChoice } from "./core.ts";
import type { Concerns } from "./drivers.ts";
import { milliseconds, type Duration } from "./duration.ts";
import { errors } from "./errors.ts";
import { lazyBroker, lazyRegistry, lazyTransport } from "./lazy.ts";
import { enableAmbient } from "./internal/ambient.ts";
import type { Driver } from "./internal/driver.ts";
import { inTurn } from "./internal/in-turn.ts";
import type { Level, Logger } from "./logger.ts";
import { carefulLogger } from "./logger/common/careful.ts";
import { consoleLogger } from "./logger/console.ts";
import type { Protocol, WireDefaults } from "./protocol.ts";
import { protocolNames } from "./protocol-names.ts";
import type { Registry } from "./registry.ts";
import type { Selector } from "./selector.ts";
import { settingsFromEnv, type Settings } from "./settings.ts";
import type { ClientTlsOptions, TlsOptions } from "./tls.ts";
import type { Transport } from "./transport.ts";

/** Limits of `maxMessageSize`, in bytes: what all protocols take. */
const [leastMessage, mostMessage] = [16 << 10, 1 << 30];

/** An environment, `process.env` by default; false for none. */
export type Env = Readonly<Record<string, string | undefined>> | false;

/** The components that services and clients are made of. Each one as an object, or by the name of its driver (`"etcd"`). */
export interface ComponentOptions {
  /** Default: `local` and `mdns` together, with nodes of this host preferred. */
  registry?: Registry | string | undefined;
  /** Default: `http`. */
  broker?: Broker | string | undefined;
  /**
   * What is served and called by, in order of preference: objects, or names out of `fast`, `mucp`, `grpc`, `connect`, `grpc-web`, `http`, and
   * `auto` for all that are not given. Nothing else is. Default `["auto"]`: all of them on one port, and of what a node speaks the first one; on
   * another transport than `http` mucp alone.
   */
  protocols?: readonly (Protocol | string)[] | undefined;
  /**
   * Longest body of a call, and longest message of a stream, either way, in bytes from 16 KiB to 1 GiB; for every protocol and transport that
   * has no limit of its own. Both ends have one. Past it PAYLOAD_TOO_LARGE or RESOURCE_EXHAUSTED. Default 4 MiB.
   */
  maxMessageSize?: number | undefined;
  /** What mucp stands on. Default: `http`. */
  transport?: Transport | string | undefined;
  /** Default: `p2c`. */
  selector?: Selector | string | undefined;
  /** Added to the built-in ones; one of the same content type takes its place. */
  codecs?: readonly Codec[] | undefined;
  /** Default: console, JSON unless standard error is a terminal. */
  logger?: Logger | undefined;
  /** Least level that is written. Default `info`, or that of the given `logger`, which this can only raise. */
  logLevel?: Level | undefined;
  /**
   * Whether calls that a handler makes inherit its deadline, cancellation, trace and metadata without being told, and publishes trace and metadata. `auto`, the
   * default: from the first client of the process on, so that services which call nobody do not pay for it. False: this one does not switch
   * it on; hand `ctx` on yourself.
   */
  ambient?: "auto" | boolean | undefined;
  /** Where MICRO_* variables are read. Default `process.env`; false switches it off. */
  env?: Env | undefined;
  /** Default: the system's. */
  clock?: Clock | undefined;
}

/** How calls are made, unless their own options say otherwise. */
export interface ClientDefaults {
  /** Whole unary call, retries included. Default 30s. */
  requestTimeout?: Duration | undefined;
  /** Whole stream. Default none. */
  streamTimeout?: Duration | undefined;
  /** How long the first attempt of an idempotent call may take; each further one has twice the time of the one before. Default 5 s. */
  attemptTimeout?: Duration | undefined;
  /** Most retries; only safe ones are made. Default 5. */
  retries?: number | undefined;
  /** Default `application/json`. */
  contentType?: string | undefined;
  /** Idle connections kept per address, of mucp over the transport `http` and of plain HTTP; other wires have one to a node. Default 100. */
  poolSize?: number | undefined;
  /** For how long after it was opened a connection of mucp over `http` is used again, and how long one of plain HTTP may be idle. Default 1m. */
  poolTtl?: Duration | undefined;
  /** TLS toward nodes that do not say `secure`; nodes that do are called with TLS in any case. */
  tls?: ClientTlsOptions | undefined;
  /** Around each call; the first is outermost. */
  interceptors?: readonly ClientInterceptor[] | undefined;
  /** Around each attempt; the first is outermost. */
  callInterceptors?: readonly CallInterceptor[] | undefined;
  /** Applied when what the registry says of a service changes, and kept until it does; a call's own are applied for each call. */
  filters?: readonly Filter[] | undefined;
}

/** Components chosen and made, none of them started. */
export interface Parts {
  readonly registry: Registry;
  readonly broker: Broker;
  readonly transport: Transport;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly settings: Settings;
  /** True with the default pair of registries: then nodes of this host go first. */
  readonly nearFirst: boolean;
  readonly ambient: boolean;
  core(): Promise<Core>;
  /** Makes ready what calls need. */
  start(): Promise<void>;
  /** Closes what was made here, in order; components that were given stay open. */
  close(): Promise<void>;
}

/** The environment of these options. */
export function environment(env: Env | undefined): Readonly<Record<string, string | undefined>> {
  return env === false ? {} : (env ?? process.env);
}

/** What components take from the server beside them: the http broker, that subscribers are reached as handlers are; protocols, who may call. */
export interface ServerFacts {
  readonly address?: string | undefined;
  readonly advertise?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly cors?: CorsOptions | undefined;
}

/** Chooses and makes the components: options, then environment and flags over them. */
export function assemble(
  options: ComponentOptions,
  flags: Settings,
  client: ClientDefaults,
  server: ServerFacts = {},
): Parts {
  const env = environment(options.env);
  const settings: Settings = { ...settingsFromEnv(env), ...flags };
  const clock = options.clock ?? systemClock;
  const own: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(component: T): T => (own.unshift(component), component);
  let made: Promise<Core> | undefined;

  if (options.ambient === true) enableAmbient();
  const given: ProtocolChoice | undefined = options.protocols?.flatMap((one): ProtocolChoice =>
    typeof one === "string" ? protocolNames(one) : [one],
  );
  const chosen = (text = settings.protocol): ProtocolChoice | undefined =>
    text === undefined ? given : protocolNames(text);
  const [servedBy, calledBy] = [chosen(settings.server), chosen(settings.client)];
  const defaults: WireDefaults = {
    tls: client.tls,
    cors: server.cors,
    poolSize: settings.clientPoolSize ?? client.poolSize,
    poolTtl: settings.clientPoolTtl ?? client.poolTtl,
    maxMessageSize: sizeOf(options.maxMessageSize),
    clock: options.clock,
  };
  const level = levelOf(settings.logLevel) ?? options.logLevel;
  const logger =
    options.logger === undefined ? consoleLogger({ level: level ?? "info" }) : carefulLogger(options.logger, level);
  const registryChoice = settings.registry ?? options.registry;
  const registry =
    typeof registryChoice === "object"
      ? registryChoice
      : keep(
          registryChoice === undefined
            ? lazyRegistry("local, mdns", () => defaultRegistry(env, clock, logger))
            : lazyRegistry(registryChoice, async () =>
                (await named("registry", registryChoice)).fromAddress(settings.registryAddress, env),
              ),
        );
  const core = (): Promise<Core> => {
    made ??= import("./core.ts").then(({ makeCore }) =>
      makeCore({
        registry,
        transport,
        selector: settings.selector ?? options.selector,
        codecs: options.codecs ?? [],
        serving: servedBy,
        calling: calledBy,
        defaults,
        clock,
        env,
      }),
    );
    made.catch(() => (made = undefined));
    return made;
  };
  const brokerChoice = settings.broker ?? options.broker ?? "http";
  const broker =
    typeof brokerChoice === "object"
      ? brokerChoice
      : keep(
          lazyBroker(brokerChoice, async () =>
            brokerChoice === "http"
              ? besides(server, settings, client, registry, clock)
              : (await named("broker", brokerChoice)).fromAddress(settings.brokerAddress, env),
          ),
        );
  broker.onError ??= logErrors(broker, logger, clock);
  const transportChoice = settings.transport ?? options.transport ?? "http";
  const completed = (bare: Transport): Transport => bare.withDefaults?.(defaults) ?? bare;
  const transport =
    typeof transportChoice === "object"
      ? completed(transportChoice)
      : lazyTransport(transportChoice, async () =>
          completed(
            transportChoice === "http"
              ? (await import("./core.ts")).httpTransport()
              : (await named("transport", transportChoice)).fromAddress(settings.transportAddress, env),
          ),
        );
  if (transport !== transportChoice) keep(transport);
  return {
    registry,
    broker,
    transport,
    logger,
    clock,
    settings,
    nearFirst: registryChoice === undefined,
    ambient: options.ambient !== false,
    core,
    async start() {
      for (const protocol of (await core()).calling) await protocol.start();
    },
    async close() {
      const loaded = await made?.catch(() => undefined);
      const [registryLast, others] = [own.filter((each) => each === registry), own.filter((each) => each !== registry)];
      const all = [...(loaded?.protocols ?? []), ...others, ...(loaded ? [loaded.cached] : []), ...registryLast];
      await inTurn(all.map((component) => () => component.close()));
    },
  };
}

/** A client over these parts: what its shell needs, its engine to be loaded by the first call. */
export function clientOptions(
  parts: Parts,
  client: ClientDefaults,
  local?: (service: string) => LocalService | undefined,
): ShellOptions {
  return {
    clock: parts.clock,
    ambient: parts.ambient,
    streamTimeout: client.streamTimeout === undefined ? Infinity : milliseconds(client.streamTimeout),
    local,
    load: () => clientEngine(parts, client, local),
  };
}

async function clientEngine(parts: Parts, client: ClientDefaults, local: ShellOptions["local"]): Promise<ClientEngine> {
  const { settings } = parts;
  const [{ ClientEngine, carefulSelector, preferSameHost, p2cSelector }, { cached, selector, calling, codecs }] =
    await Promise.all([import("./call.ts"), parts.core()]);
  for (const protocol of calling) await protocol.loadClient?.();
  return new ClientEngine({
    registry: cached,
    selector: selector === undefined ? p2cSelector({ clock: parts.clock }) : carefulSelector(selector),
    protocols: calling,
    codecs,
    broker: parts.broker,
    clock: parts.clock,
    interceptors: client.interceptors ?? [],
    callInterceptors: client.callInterceptors ?? [],
    filters: [...(parts.nearFirst ? [preferSameHost()] : []), ...(client.filters ?? [])],
    contentType: client.contentType ?? "application/json",
    requestTimeout: milliseconds(settings.clientRequestTimeout ?? client.requestTimeout ?? "30s"),
    attemptTimeout: milliseconds(client.attemptTimeout ?? "5s"),
    retries: settings.clientRetries ?? client.retries ?? 5,
    local,
    proxy: proxyOf(settings.proxy),
  });
}

async function defaultRegistry(
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  logger: Logger,
): Promise<Registry> {
  const [{ localRegistry }, { mdnsRegistry }, { multiRegistry }] = await Promise.all([
    import("./core.ts"),
    import("./registry/mdns.ts"),
    import("./registry/multi.ts"),
  ]);
  const directory = env["MICRO_LOCAL_DIR"];
  return multiRegistry([localRegistry({ clock, ...(directory ? { directory } : {}) }), mdnsRegistry({ clock })], {
    clock,
    onDegraded: (name, error) => logger.warn(`registry ${name} is degraded: ${error.detail}`),
  });
}

function sizeOf(bytes: number | undefined): number | undefined {
  if (bytes !== undefined && !(Number.isInteger(bytes) && bytes >= leastMessage && bytes <= mostMessage))
    throw errors.badRequest("ts-micro", `maxMessageSize: ${bytes} is not from ${leastMessage} to ${mostMessage}`);
  return bytes;
}

function levelOf(text: string | undefined): Level | undefined {
  if (text === undefined) return undefined;
  const levels: readonly string[] = ["trace", "debug", "info", "warn", "error", "fatal"];
  if (!levels.includes(text))
    throw errors.badRequest("ts-micro", `MICRO_LOG_LEVEL=${text}: one of ${levels.join(", ")}`);
  return text as Level;
}

/** MICRO_PROXY: an address when it has a colon, `service` for Go's `go.micro.proxy`, else a service name (wire spec §1.3). */
function proxyOf(text: string | undefined): { address?: string; service?: string } | undefined {
  if (text === undefined) return undefined;
  return text.includes(":") ? { address: text } : { service: text === "service" ? "go.micro.proxy" : text };
}

/** The http broker, listening and told to others where the server is, on a port of its own. */
async function besides(
  server: ServerFacts,
  settings: Settings,
  client: ClientDefaults,
  registry: Registry,
  clock: Clock,
): Promise<Broker> {
  const [{ httpBroker }, { hostOf, hostPort }] = await Promise.all([
    import("./broker/http.ts"),
    import("./internal/net-address.ts"),
  ]);
  const host = hostOf(settings.serverAddress ?? server.address);
  return httpBroker({
    registry,
    clock,
    address: settings.brokerAddress ?? (host === undefined ? ":0" : hostPort(host, 0)),
    advertise: hostOf(settings.serverAdvertise ?? server.advertise),
    tls: server.tls,
    clientTls: client.tls,
  });
}

/** A driver by its name; the table of names is loaded when one is asked for. */
async function named<C extends keyof Concerns>(concern: C, name: string): Promise<Driver<Concerns[C]>> {
  return (await import("./drivers.ts")).loadDriver(concern, name);
}
