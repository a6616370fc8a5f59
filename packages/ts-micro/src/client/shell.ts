import type { PublishMessageOptions } from "../client.ts";
import type { Clock } from "../clock.ts";
import type { CallOptions, Kind } from "../context.ts";
import type { Duplex } from "../endpoint.ts";
import { errors } from "../errors.ts";
import { enableAmbient } from "../internal/ambient.ts";
import { holding } from "../internal/hold.ts";
import type { LocalService } from "../server.ts";
import type { ClientEngine } from "./engine.ts";
import type { EndpointFacts } from "./nodes.ts";
import type { Known } from "./options.ts";
import { prepare } from "./prepared.ts";
import { ClientStream } from "./stream.ts";
import type { Target } from "./target.ts";

/** What a shell is made of. */
export interface ShellOptions {
  readonly clock: Clock;
  /** Calls made in handlers inherit of them without being told. */
  readonly ambient: boolean;
  /** Milliseconds; Infinity for none. */
  readonly streamTimeout: number;
  readonly local?: ((service: string) => LocalService | undefined) | undefined;
  /** Makes the engine; asked once. */
  load(): Promise<ClientEngine>;
}

/** The part of a client that is there at once. Its engine is loaded by the first call. */
export class ClientShell {
  readonly #options: ShellOptions;
  #engine: ClientEngine | undefined;
  #loading: Promise<ClientEngine> | undefined;
  #closed = false;

  constructor(options: ShellOptions) {
    if (options.ambient) enableAmbient();
    this.#options = options;
  }

  load(): Promise<ClientEngine> {
    if (this.#closed) return Promise.reject(errors.invalidState("go.micro.client", "the client is closed"));
    if (this.#loading === undefined) {
      this.#loading = holding(this.#options.load());
      this.#loading.then(
        (engine) => (this.#engine = engine),
        () => (this.#loading = undefined),
      );
    }
    return this.#loading;
  }

  /** Kind of an endpoint by what is known now; `stream` when a Go node says that it streams, but not how. */
  kindNow(target: Target): EndpointFacts["kind"] | undefined {
    const local = this.#options.local?.(target.service);
    const kind = local && target.within(local)?.kind;
    if (kind !== undefined || this.#engine === undefined) return kind;
    this.#engine.know(target);
    return target.facts?.kind;
  }

  /** A unary call of a typed client. */
  call(target: Target, request: unknown, options?: CallOptions): Promise<unknown> {
    if (this.#engine !== undefined && !this.#closed) return this.#engine.call(target, request, options);
    return this.load().then((engine) => engine.call(target, request, options));
  }

  /** A unary call without types. */
  unary(service: string, endpoint: string, request: unknown, options?: CallOptions): Promise<unknown> {
    const engine = this.#engine;
    if (engine !== undefined && !this.#closed) return engine.call(engine.target(service, endpoint), request, options);
    return this.load().then((loaded) => loaded.call(loaded.target(service, endpoint), request, options));
  }

  /** A stream; nothing is opened before its first use. `request` is the one request of a `server` stream, or the source of the others. */
  stream(
    kind: Kind,
    service: string,
    endpoint: string,
    request: unknown,
    options?: CallOptions,
    known?: Known,
  ): Duplex<unknown, unknown> {
    const { clock, streamTimeout } = this.#options;
    // The calling context is that of the call, not of the first read.
    const { call, unlink } = prepare(clock, streamTimeout, { service, endpoint, kind, request, options, known });
    return new ClientStream(call, async (changed) => (await this.load()).open(changed), unlink);
  }

  async publish(topic: string, message: unknown, options?: PublishMessageOptions & CallOptions): Promise<void> {
    await (await this.load()).publish(topic, message, options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#loading?.catch(() => undefined))?.close();
  }
}
