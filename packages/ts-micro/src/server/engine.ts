import { sleep } from "../clock.ts";
import { Codecs } from "../codec.ts";
import { errors, fromUnknown } from "../errors.ts";
import { advertiseAddress } from "../internal/net-address.ts";
import { onAbort } from "../internal/on-abort.ts";
import { within } from "../internal/within.ts";
import type { Acceptor, Listener } from "../protocol.ts";
import type { ServiceRecord } from "../registry.ts";
import type { LocalService, RoutedEndpoint, ServerStats, Subscriber, SubscriberOptions } from "../server.ts";
import { Calls } from "./calls.ts";
import { listen, type PortListener } from "./listener.ts";
import { localService } from "./local.ts";
import type { ServerEngineOptions } from "./options.ts";
import { recordOf } from "./record.ts";
import { Registration } from "./registration.ts";
import { Routes } from "./routes.ts";
import { Running } from "./running.ts";
import { Subscribers } from "./subscribers.ts";

/** How long the registry and the broker may take to let it go, in milliseconds. */
const patience = 2000;

/** Listens, routes, registers, subscribes; and stops without losing a call. Everything it uses is given to it. */
export class ServerEngine {
  readonly options: ServerEngineOptions;
  readonly routes: Routes;
  readonly local: LocalService;
  readonly #codecs: Codecs;
  readonly #running: Running;
  /** Apart from the calls, whose limit is not theirs. */
  readonly #messages: Running;
  readonly #over = new AbortController();
  readonly #calls: Calls;
  readonly #subscribers: Subscribers;
  #listeners: Listener[] = [];
  #port: PortListener | undefined;
  #registration: Registration | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #address = "";

  constructor(options: ServerEngineOptions) {
    this.options = options;
    const { name, clock, logger: log, broker } = options;
    this.routes = new Routes(name, options.interceptors);
    this.#codecs = new Codecs(options.codecs);
    this.#running = new Running(clock, name);
    this.#messages = new Running(clock, name);
    this.#subscribers = new Subscribers({
      service: name,
      broker,
      codecs: this.#codecs,
      running: this.#messages,
      log,
      clock,
      interceptors: options.subscriberInterceptors,
    });
    this.#calls = new Calls({
      service: name,
      routes: this.routes,
      codecs: this.#codecs,
      running: this.#running,
      log,
      clock,
      maxInFlight: options.maxInFlight,
      deliver: (message) => this.#subscribers.deliver(message),
    });
    this.local = localService(name, this.routes, this.#running, this.#calls, log, clock);
  }

  /** Where it listens; empty before `start`. */
  get address(): string {
    return this.#address;
  }

  /** Why it is not registered; undefined when it is. */
  get registrationError(): string | undefined {
    return this.#registration?.lastError;
  }

  get stats(): ServerStats {
    return { requests: this.#calls.requests, failures: this.#calls.failures, inFlight: this.#underWay };
  }

  get #underWay(): number {
    return this.#running.size + this.#messages.size;
  }

  /** As it is in the registry. */
  get record(): ServiceRecord {
    return this.#registration?.record ?? recordOf(this.options, this.#address, this.routes.all(), []);
  }

  get ports(): { readonly connections: number; readonly shed: number } {
    return { connections: this.#port?.connections ?? 0, shed: this.#port?.shed ?? 0 };
  }

  /** Why calls should not be sent here; empty when they may. */
  unready(): string[] {
    if (this.#over.signal.aborted) return ["it is stopping"];
    if (this.#registration?.registered === true) return [];
    return [`it is not registered${this.registrationError === undefined ? " yet" : `: ${this.registrationError}`}`];
  }

  handle(endpoints: readonly RoutedEndpoint[]): void {
    if (this.#starting !== undefined) throw errors.invalidState(this.options.name, "handlers are given before start");
    this.routes.add(endpoints);
  }

  subscribe(topic: string, subscriber: Subscriber, options: SubscriberOptions = {}): Promise<() => Promise<void>> {
    return this.#subscribers.add(topic, subscriber, options);
  }

  start(): Promise<void> {
    this.#starting ??= this.#start().catch(async (error: unknown) => {
      // What does not run must not be found.
      await this.#leave();
      await this.#closeAll();
      throw error;
    });
    return this.#starting;
  }

  stop(): Promise<void> {
    this.interrupt();
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** It is to stop, though it may not have started yet: a registry or broker that does not answer must not hold that up. */
  interrupt(): void {
    this.#over.abort();
    this.#registration?.abort();
  }

  async #start(): Promise<void> {
    const { name, logger, broker } = this.options;
    if (this.routes.all().some(({ descriptors }) => descriptors !== undefined)) await this.#codecs.load();
    await this.#listen();
    if (this.#subscribers.size > 0 && !(await this.#unlessOver(() => broker.start()))) return;
    const endpoints = this.routes.all();
    logger.info(`Server [${name}] listening on ${this.#address}`, {
      endpoints: endpoints.filter((each) => !each.internal).map((each) => each.name),
    });
    const advertised = advertiseAddress(this.#address, this.options.advertise);
    this.#registration = new Registration(
      this.options,
      recordOf(this.options, advertised, endpoints, this.#subscribers.records()),
    );
    if (this.#over.signal.aborted) this.#registration.abort();
    await this.#registration.start();
    await this.#unlessOver(() => this.#subscribers.start());
  }

  /** Whether `work` was done; false when it is to stop meanwhile, which does not wait for it. */
  async #unlessOver(work: () => Promise<void>): Promise<boolean> {
    const { signal } = this.#over;
    if (signal.aborted) return false;
    let unlink!: () => void;
    const over = new Promise<boolean>((resolve) => (unlink = onAbort(signal, () => resolve(false))));
    try {
      return await Promise.race([work().then(() => true), over]);
    } finally {
      unlink();
    }
  }

  async #listen(): Promise<void> {
    const { protocols, address, tls, clock, carriers } = this.options;
    for (const protocol of protocols) await protocol.start();
    const { routes: first, fallback } = this.options;
    const routes = [...first, ...protocols.flatMap((protocol) => protocol.routes?.(this.#calls) ?? [])];
    if (fallback !== undefined) routes.push(fallback);
    const listening = protocols.find((each) => each.acceptor !== undefined || each.listen !== undefined);
    // A port of its own beside one that needs none would be at nobody's address.
    const shared = listening === undefined || listening.acceptor !== undefined;
    const acceptors: Acceptor[] = [];
    for (const protocol of protocols) {
      const acceptor = shared ? protocol.acceptor?.(this.#calls, routes) : undefined;
      if (acceptor !== undefined) acceptors.push(acceptor);
      else if (protocol.listen !== undefined) this.#listeners.push(await protocol.listen(address, this.#calls));
    }
    const onRoutes = protocols.some((each) => each.routes && !each.acceptor && !each.listen);
    if (shared && onRoutes) acceptors.push(...(carriers?.(routes) ?? []));
    if (acceptors.length > 0) {
      this.#port = await listen({ address, acceptors, ...(tls === undefined ? {} : { tls }), clock });
      this.#listeners.push(this.#port);
    }
    const [listener] = this.#listeners;
    if (listener === undefined) {
      const names = protocols.map((protocol) => protocol.name).join(", ");
      throw errors.badRequest(this.options.name, `protocols: ${names}: nothing of it listens`);
    }
    this.#address = listener.address;
  }

  /** DESIGN: deregister, go on answering, refuse those who know where else to go, let the rest finish, close. */
  async #stop(): Promise<void> {
    if (this.#starting === undefined) return;
    await this.#starting.catch(() => {});
    const { clock, settle, drain, logger, name } = this.options;
    const began = clock.now();
    if (this.#registration !== undefined) {
      const registered = this.#registration.registered;
      await this.#leave();
      if (registered && settle > 0) await sleep(clock, settle);
    }
    this.#calls.refusing = true;
    const idle = [this.#running.whenIdle(), this.#messages.whenIdle()];
    const drained = Promise.all([...idle, ...this.#listeners.map((listener) => listener.drain())]);
    await within(clock, drain, drained, () => {});
    if (this.#underWay > 0)
      logger.warn(`${name}: ${this.#underWay} under way are cut off after ${Math.round(clock.now() - began)} ms`);
    await this.#closeAll();
    logger.info(`Server [${name}] stopped`);
  }

  /** Out of the registry and the broker; a failure there is no reason to go on. */
  async #leave(): Promise<void> {
    const { name, logger } = this.options;
    const unsubscribed = this.#subscribers.close().catch((error: unknown) => {
      logger.warn(`${name}: cannot unsubscribe: ${fromUnknown(error).detail}`, { error });
    });
    const told = within(this.options.clock, patience, unsubscribed, () => {});
    await Promise.all([this.#registration?.close(patience), told]);
  }

  async #closeAll(): Promise<void> {
    const listeners = this.#listeners;
    this.#listeners = [];
    await Promise.all(listeners.map((listener) => listener.close()));
    this.#running.close();
    this.#messages.close();
  }
}
