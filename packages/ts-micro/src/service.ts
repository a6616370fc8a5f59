import { AsyncLocalStorage } from "node:async_hooks";
import {
  assemble,
  clientOptions,
  environment,
  type ClientDefaults,
  type ComponentOptions,
  type Parts,
} from "./assemble.ts";
import type { Broker } from "./broker.ts";
import type { Client, PublishMessageOptions } from "./client.ts";
import { clientHandle } from "./client/handle.ts";
import type { CallOptions } from "./context.ts";
import { milliseconds, type Duration } from "./duration.ts";
import { type types, type Data, type Fn, type GenServiceLike, type Group, type ProtoImpl } from "./endpoint.ts";
import { errors } from "./errors.ts";
import { helpText, parseFlags, type ParsedFlags, type UserFlag } from "./flags.ts";
import { holding } from "./internal/hold.ts";
import { inTurn } from "./internal/in-turn.ts";
import { randomUuid } from "./internal/random.ts";
import { until } from "./internal/signals.ts";
import type { Logger } from "./logger.ts";
import { fitToSend } from "./metadata.ts";
import type { Registry } from "./registry.ts";
import type {
  CorsOptions,
  HandleOptions,
  HandlerInterceptor,
  HttpApp,
  HttpServiceOptions,
  Subscriber,
  SubscriberInterceptor,
  SubscriberOptions,
  LocalService,
  ServerStats,
} from "./server.ts";
import type { ServerEngine } from "./server/engine.ts";
import { classNameOf, endpointsOf, endpointsOfDescriptor } from "./server/reflect.ts";
import type { Settings } from "./settings.ts";
import type { TlsOptions } from "./tls.ts";

type Hook = () => void | Promise<void>;

/** Options of {@link createService}. The environment and flags are laid over them, and only what was actually set. */
export interface ServiceOptions<N extends string = string> extends ComponentOptions {
  /** The name that clients call it by. */
  name: N;
  /** Default `latest`. */
  version?: string | undefined;
  /** Node id is `<name>-<id>`. Default a new UUID. */
  id?: string | undefined;
  /** `host:port`, `:0`, a range `:5000-6000`, `unix:/path`. Default `:0`: every interface, a free port. */
  address?: string | undefined;
  /** Told to the registry instead of the address. */
  advertise?: string | undefined;
  /** Node metadata. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** TLS of the server. Clients see it in the registry and use TLS by themselves. */
  tls?: TlsOptions | undefined;
  /**
   * Plain HTTP/1.1 on the service's port: JSON calls, `/health`, `/ready`, `/metrics`, and a web app, here or in its options: a handler for
   * `node:http`, an Express or Fastify app. Default true; false: none of it.
   */
  http?: boolean | HttpApp | HttpServiceOptions | undefined;
  /** Web pages that may call it, by every protocol that browsers speak. Default: none. */
  cors?: CorsOptions | undefined;
  /** Lifetime of a registration. Default 90s. */
  registerTtl?: Duration | undefined;
  /** Time between registrations; 0 for one only. Default 30s. */
  registerInterval?: Duration | undefined;
  /** Runs before each registration; while it fails the node is out of the registry. */
  registerCheck?: (() => void | Promise<void>) | undefined;
  /** How long it goes on answering everybody after it deregistered. Default 1s. */
  settle?: Duration | undefined;
  /** How long calls under way may take after that. Default 10s. */
  drain?: Duration | undefined;
  /** True: wait for calls under way without a limit. */
  wait?: boolean | undefined;
  /** Calls and streams at once; more are refused. Default 10,000. */
  maxInFlight?: number | undefined;
  /** How `service.client` makes calls. */
  client?: ClientDefaults | undefined;
  /** Around each handler; the first is outermost. */
  interceptors?: readonly HandlerInterceptor[] | undefined;
  /** Around each subscriber; the first is outermost. */
  subscriberInterceptors?: readonly SubscriberInterceptor[] | undefined;
  /** Before anything is opened, one after the other. What one throws ends the start. */
  beforeStart?: Hook | readonly Hook[] | undefined;
  /** When it listens, is registered and subscribed. What one throws ends the start, and what was opened is closed. */
  afterStart?: Hook | readonly Hook[] | undefined;
  /** Before it leaves the registry. What one throws is what `stop` rejects with, at its end. */
  beforeStop?: Hook | readonly Hook[] | undefined;
  /** When everything is closed. What one throws is what `stop` rejects with. */
  afterStop?: Hook | readonly Hook[] | undefined;
  /** Ends `run` as a signal would. */
  signal?: AbortSignal | undefined;
  /** False: `run` takes no notice of TERM, INT and QUIT. Default true. */
  handleSignal?: boolean | undefined;
  /** The user's own flags, read by `init`. */
  flags?: Readonly<Record<string, UserFlag>> | undefined;
  /** Gets the parsed flags before the service starts. */
  action?: ((flags: ParsedFlags) => void | Promise<void>) | undefined;
  /** False: no `Debug.Health`, `Debug.Stats`, `Debug.Describe`. Default true. */
  debug?: boolean | undefined;
}

/** What {@link Service.init} takes: options once more, and the command line. */
export interface InitOptions extends Partial<Omit<ServiceOptions, "name">> {
  name?: string | undefined;
  /** Command line without program and script. Default `process.argv`, when `init` is called without options. */
  argv?: readonly string[] | undefined;
}

/** A service: handlers, subscribers, a server, a client. `E` collects the types of its handler groups for its clients. */
export interface Service<N extends string = string, E = {}> extends AsyncDisposable {
  readonly name: N;
  readonly [types]?: E;
  /** Adds a handler group: `hello` becomes `<group>.Hello`. */
  handle<const G extends string, H extends Group<H> = { [m: string]: Fn | Data }>(
    group: G,
    handlers: H,
    options?: HandleOptions,
  ): Service<N, E & { readonly [P in G]: NoInfer<H> }>;
  /** Adds a protobuf service by its descriptor. */
  implement<D extends GenServiceLike>(
    descriptor: D,
    impl: D extends GenServiceLike ? ProtoImpl<D> : never,
    options?: HandleOptions,
  ): Service<N, E>;
  /** Adds a class instance under the name of its class, as the reference does. Not typed for clients: prefer `handle("Greeter", instance)`. */
  register(instance: object, options?: HandleOptions): Service<N, E>;
  /** Adds a subscriber: a function `(message, ctx)`, or an object of which every method gets each message. */
  subscribe<T = unknown>(topic: string, subscriber: Subscriber<T>, options?: SubscriberOptions<T>): Service<N, E>;
  /** Publishes through the service's broker. */
  publish(topic: string, message: unknown, options?: PublishMessageOptions | CallOptions): Promise<void>;
  /**
   * Lays options, then environment and flags, over what was given before; those of `client` one by one. Undefined changes nothing. Without
   * options it reads the process's command line. INVALID_STATE after `start`.
   */
  init(options?: InitOptions): Service<N, E>;
  /** Hooks, listen, register, subscribe. Idempotent. */
  start(): Promise<void>;
  /** Deregisters, lets calls under way finish, closes. Idempotent. */
  stop(): Promise<void>;
  /** Starts, waits for TERM, INT, QUIT or the signal, stops. A second signal ends the process at once. */
  run(): Promise<void>;
  /** Calls to this service itself, or to others of its group, use no socket. */
  readonly client: Client;
  readonly server: Server;
  readonly registry: Registry;
  readonly broker: Broker;
  readonly logger: Logger;
  /** The options as they stand. */
  readonly options: ServiceOptions<N>;
}

/** Takes handlers of protobuf services: a {@link Service}, or its server as in Go. */
export interface ProtoServer {
  implement<D extends GenServiceLike>(
    descriptor: D,
    impl: D extends GenServiceLike ? ProtoImpl<D> : never,
    options?: HandleOptions,
  ): unknown;
}

/** The server of a service. */
export interface Server extends ProtoServer {
  /** Where it listens; empty before `start`. */
  readonly address: string;
  readonly id: string;
  readonly version: string;
  readonly stats: ServerStats;
  /** Why it is not in the registry; undefined when it is. */
  readonly registrationError: string | undefined;
}

/** A service by name. Nothing is opened before `start` or `run`. */
export function createService<const N extends string>(options: ServiceOptions<N>): Service<N> {
  return new MicroService(options) as unknown as Service<N>;
}

type Setup = (engine: ServerEngine) => void | Promise<void>;

/** Not exported by the front door: users hold the {@link Service} interface. */
export class MicroService {
  options: ServiceOptions;
  #parts: Parts | undefined;
  #engine: ServerEngine | undefined;
  #client: Client | undefined;
  #flags: Settings = {};
  #parsed: ParsedFlags | undefined;
  #setup: Setup[] = [];
  #local: (service: string) => LocalService | undefined = (service) =>
    service === this.name ? this.#serving() : undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #stopped = false;
  #closing: Promise<void> | undefined;
  /** While hooks run: tells from which we are called. */
  #hooks: AsyncLocalStorage<Hooked> | undefined;
  #running = 0;
  #letGo!: () => void;
  /** A stop was asked for by what the start waits for. */
  readonly #fromWithin = new Promise<void>((resolve) => (this.#letGo = resolve));
  readonly #ended = new AbortController();
  #madeId: string | undefined;
  #endpoints: ReturnType<typeof endpointsOf> = [];

  constructor(options: ServiceOptions) {
    if (typeof options.name !== "string" || options.name === "")
      throw errors.badRequest("ts-micro", "a service needs a name");
    fitToSend(options.metadata);
    this.options = options;
  }

  get name(): string {
    return this.#settings().serverName ?? this.options.name;
  }

  handle(group: string, handlers: object, options?: HandleOptions): this {
    return this.#add(endpointsOf(group, handlers, options));
  }

  implement(descriptor: GenServiceLike, impl: object, options?: HandleOptions): this {
    return this.#add(endpointsOfDescriptor(descriptor, impl, options));
  }

  register(instance: object, options?: HandleOptions): this {
    return this.handle(classNameOf(instance), instance, options);
  }

  subscribe(topic: string, subscriber: Subscriber, options: SubscriberOptions = {}): this {
    if (this.#starting !== undefined) throw errors.invalidState(this.name, "subscribers are given before start");
    this.#setup.push(async (engine) => {
      await engine.subscribe(topic, subscriber, options);
    });
    return this;
  }

  publish(topic: string, message: unknown, options?: PublishMessageOptions | CallOptions): Promise<void> {
    return this.client.publish(topic, message, options);
  }

  init(options?: InitOptions): this {
    if (this.#parts !== undefined)
      throw errors.invalidState(this.name, "init comes before start and before the components are used");
    const { argv, ...changed } = options ?? { argv: process.argv.slice(2) };
    fitToSend(changed.metadata);
    const client = { ...this.options.client, ...set(changed.client ?? {}) };
    this.options = { ...this.options, ...set(changed as Partial<ServiceOptions>), client };
    if (argv !== undefined) {
      this.#parsed = parseFlags(argv, this.options.flags ?? {}, environment(this.options.env));
      this.#flags = this.#parsed.settings;
    }
    return this;
  }

  get client(): Client {
    const parts = this.#components();
    this.#client ??= clientHandle(
      clientOptions(parts, this.options.client ?? {}, (service) => this.#local(service)),
      () => parts.start(),
      () => Promise.resolve(),
    );
    return this.#client;
  }

  get server(): Server {
    // The getters of what is returned belong to it, not to this.
    // oxlint-disable-next-line typescript/no-this-alias
    const service = this;
    return {
      get address() {
        return service.#engine?.address ?? "";
      },
      get id() {
        return service.#id();
      },
      get version() {
        return service.#version();
      },
      get stats() {
        return service.#engine?.stats ?? { requests: 0, failures: 0, inFlight: 0 };
      },
      get registrationError() {
        return service.#engine?.registrationError;
      },
      implement: (descriptor, impl, options) => void service.implement(descriptor, impl, options),
    };
  }

  get registry(): Registry {
    return this.#components().registry;
  }

  get broker(): Broker {
    return this.#components().broker;
  }

  get logger(): Logger {
    return this.#components().logger;
  }

  start(): Promise<void> {
    if (this.#stopping !== undefined && (this.#starting === undefined || this.#stopped))
      return Promise.reject(errors.invalidState(this.name, "a service that was stopped does not start again"));
    this.#starting ??= holding(this.#begin());
    return this.#starting;
  }

  stop(): Promise<void> {
    // A hook that waits for the stop is not waited for by it.
    const hook = this.#hooks?.getStore();
    if (hook?.runs === true) hook.letGo();
    this.#ended.abort();
    this.#stopping ??= holding(this.#stop());
    return this.#stopping;
  }

  async run(): Promise<void> {
    if (this.printed()) return;
    const { handleSignal, signal } = this.options;
    await until(
      { handleSignal, signal, stopped: this.#ended.signal },
      () => this.start(),
      () => this.stop(),
    );
  }

  /** Prints what `-h` or `-v` asks for; false without either. */
  printed(): boolean {
    const { help = false, version = false } = this.#parsed ?? {};
    if (help) process.stdout.write(helpText(this.name, this.options.flags ?? {}));
    else if (version) process.stdout.write(`${this.#version()}\n`);
    return help || version;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** A group gives its services one way to each other; the way to this one comes back. */
  joinGroup(local: (service: string) => LocalService | undefined): () => LocalService | undefined {
    this.#local = local;
    return () => this.#serving();
  }

  #serving(): LocalService | undefined {
    return this.#stopped ? undefined : this.#engine?.local;
  }

  #settings(): Settings {
    return this.#parts?.settings ?? this.#flags;
  }

  #components(): Parts {
    this.#parts ??= assemble(this.options, this.#flags, this.options.client ?? {}, this.options);
    return this.#parts;
  }

  #id(): string {
    return this.#components().settings.serverId ?? this.options.id ?? (this.#madeId ??= randomUuid());
  }

  #version(): string {
    return this.#components().settings.serverVersion ?? this.options.version ?? "latest";
  }

  #add(endpoints: ReturnType<typeof endpointsOf>): this {
    if (this.#starting !== undefined) throw errors.invalidState(this.name, "handlers are given before start");
    for (const { name } of endpoints) {
      if (this.#endpoints.some((other) => other.name === name))
        throw errors.conflict(this.name, `the endpoint ${name} is handled already`);
    }
    this.#endpoints.push(...endpoints);
    return this;
  }

  async #makeEngine(): Promise<ServerEngine> {
    const { options } = this;
    const parts = this.#components();
    const { settings } = parts;
    const [{ ServerEngine, debugEndpoints, httpParts }, { serving, codecs, carriers }] = await Promise.all([
      import("./core.ts"),
      parts.core(),
    ]);
    const { protocols, advertised, routes, fallback } = await httpParts(
      options.http,
      serving,
      this.#endpoints.length === 0,
      {
        service: this.name,
        version: this.#version(),
        stats: () => engine.stats,
        ports: () => engine.ports,
        unready: () => engine.unready(),
      },
    );
    const engine: ServerEngine = new ServerEngine({
      name: settings.serverName ?? options.name,
      version: this.#version(),
      id: this.#id(),
      address: settings.serverAddress ?? options.address ?? ":0",
      advertise: settings.serverAdvertise ?? options.advertise,
      metadata: { ...options.metadata, ...settings.serverMetadata },
      registry: parts.registry,
      broker: parts.broker,
      protocols,
      codecs,
      routes,
      fallback,
      carriers,
      advertised,
      interceptors: options.interceptors ?? [],
      subscriberInterceptors: options.subscriberInterceptors ?? [],
      logger: parts.logger,
      clock: parts.clock,
      tls: options.tls,
      registerTtl: milliseconds(settings.registerTtl ?? options.registerTtl ?? "90s"),
      registerInterval: milliseconds(settings.registerInterval ?? options.registerInterval ?? "30s"),
      registerCheck: options.registerCheck,
      settle: milliseconds(options.settle ?? "1s"),
      drain: options.wait === true ? Infinity : milliseconds(options.drain ?? "10s"),
      maxInFlight: options.maxInFlight ?? 10_000,
    });
    engine.handle(this.#endpoints);
    if (options.debug !== false && !this.#endpoints.some(({ name }) => name.startsWith("Debug."))) {
      engine.handle(
        debugEndpoints({
          stats: () => engine.stats,
          record: () => engine.record,
        }),
      );
    }
    return engine;
  }

  async #begin(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      // What has not started leaves nothing open.
      await this.#close().catch(() => {});
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { action, beforeStart, afterStart } = this.options;
    const parsed = this.#parsed;
    if (parsed !== undefined && action !== undefined) await this.#startHooks([() => action(parsed)]);
    await this.#startHooks(list(beforeStart));
    if (this.#stopping !== undefined) return;
    const engine = await this.#makeEngine();
    if (this.#closing !== undefined) return;
    this.#engine = engine;
    engine.options.logger.info(`Starting [service] ${this.name}`);
    if (this.#stopping !== undefined) engine.interrupt();
    for (const setup of this.#setup) await setup(engine);
    await engine.start();
    await this.#startHooks(list(afterStart));
  }

  /** One after another, as long as it is not to stop. */
  async #startHooks(hooks: readonly Hook[]): Promise<void> {
    for (const hook of hooks) if (this.#stopping === undefined) await this.#hook(hook, this.#letGo);
  }

  async #hook(hook: Hook, letGo: () => void): Promise<void> {
    const hooks = (this.#hooks ??= new AsyncLocalStorage());
    // What it leaves behind may call later.
    const from = { runs: true, letGo };
    this.#running++;
    try {
      await hooks.run(from, hook);
    } finally {
      from.runs = false;
      // Or it would tax every await of the process for good (Node 20 and 22).
      if (--this.#running === 0) hooks.disable();
    }
  }

  async #stop(): Promise<void> {
    this.#engine?.interrupt();
    await Promise.race([this.#starting?.catch(() => {}), this.#fromWithin]);
    const { beforeStop, afterStop } = this.options;
    const step = (hook: Hook) => () =>
      new Promise<void>((resolve, reject) => void this.#hook(hook, resolve).then(resolve, reject));
    await inTurn([...list(beforeStop).map(step), () => this.#close(), ...list(afterStop).map(step)]);
  }

  #close(): Promise<void> {
    this.#closing ??= inTurn([
      () => this.#engine?.stop(),
      () => void (this.#stopped = true),
      () => this.#client?.close(),
      () => this.#parts?.close(),
    ]);
    return this.#closing;
  }
}

/** The hook that code runs under. */
interface Hooked {
  runs: boolean;
  readonly letGo: () => void;
}

/** The options that were really set. */
function set<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function list(hooks: Hook | readonly Hook[] | undefined): readonly Hook[] {
  return hooks === undefined ? [] : typeof hooks === "function" ? [hooks] : hooks;
}
