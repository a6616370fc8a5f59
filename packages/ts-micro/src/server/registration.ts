import { sleep } from "../clock.ts";
import { errors, fromUnknown, type ErrorCode, type MicroError } from "../errors.ts";
import { abortable } from "../internal/abortable.ts";
import { exitAmbient } from "../internal/ambient.ts";
import { backoff } from "../internal/backoff.ts";
import { within } from "../internal/within.ts";
import type { ServiceRecord } from "../registry.ts";
import type { ServerEngineOptions } from "./options.ts";

const lasting: ReadonlySet<ErrorCode> = new Set([
  "NOT_FOUND",
  "PACKAGE_MISSING",
  "BAD_REQUEST",
  "FORBIDDEN",
  "UNSUPPORTED",
]);

/**
 * Keeps a record in the registry: check, register, again at each interval; after a failure sooner, with backoff. A registry that is away
 * does not stop the server, it is logged and tried again.
 */
export class Registration {
  readonly #options: ServerEngineOptions;
  readonly record: ServiceRecord;
  readonly #stop = new AbortController();
  #registered = false;
  #loop: Promise<void> | undefined;
  #lastError: string | undefined;
  #lasting: MicroError | undefined;

  constructor(options: ServerEngineOptions, record: ServiceRecord) {
    this.#options = options;
    this.record = record;
  }

  get registered(): boolean {
    return this.#registered;
  }

  /** Why the last heartbeat failed; undefined when it did not. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /**
   * Resolves after the first attempt, whether it worked or not. Rejects when no later one can work: there is no such registry, its package
   * is missing, it refuses the record or the user.
   */
  async start(): Promise<void> {
    await this.#beat();
    if (this.#lasting !== undefined) throw this.#lasting;
    if (this.#options.registerInterval > 0 || !this.#registered) this.#loop = exitAmbient(() => this.#run());
  }

  /** No further attempt; the one under way is told to stop. */
  abort(): void {
    this.#stop.abort();
  }

  /** Takes the node out; bounded by `ms`. */
  async close(ms: number): Promise<void> {
    this.abort();
    const { clock, registry, logger } = this.#options;
    const out = (async () => {
      await this.#loop;
      await registry.deregister(this.record);
    })().catch((error: unknown) => logger.warn(`cannot deregister ${this.record.name}: ${fromUnknown(error).detail}`));
    await within(clock, ms, out, () => {});
    this.#registered = false;
  }

  async #run(): Promise<void> {
    const { clock, registerInterval } = this.#options;
    for (let failures = this.#registered ? 0 : 1; !this.#stop.signal.aborted;) {
      if (failures === 0 && registerInterval === 0) return;
      const soon = backoff(failures, { min: 250, max: 5000 });
      const pause = failures === 0 ? registerInterval : Math.min(registerInterval || soon, soon);
      await sleep(clock, pause, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      failures = (await this.#beat()) ? 0 : failures + 1;
    }
  }

  async #beat(): Promise<boolean> {
    const { registry, registerCheck, registerTtl, logger } = this.#options;
    const node = this.record.nodes[0]?.id ?? "";
    try {
      if (registerCheck !== undefined) await this.#check(registerCheck);
    } catch (error) {
      this.#failed(`register check failed: ${fromUnknown(error).detail}`);
      if (this.#registered) {
        this.#registered = false;
        logger.warn(`taking node ${node} out: ${this.#lastError}`);
        try {
          await registry.deregister(this.record);
        } catch {
          // It is out by its time to live.
        }
      }
      return false;
    }
    try {
      await registry.register(this.record, { ttl: registerTtl, signal: this.#stop.signal });
      if (!this.#registered || this.#lastError !== undefined)
        logger.info(`Registry [${registry.name}] registered node: ${node}`);
      this.#registered = true;
      this.#lastError = undefined;
      return true;
    } catch (error) {
      const failure = fromUnknown(error, this.#options.name);
      if (lasting.has(failure.code)) this.#lasting = failure;
      this.#failed(`registry ${registry.name}: ${failure.detail}`);
      return false;
    }
  }

  /** A check that does not settle counts as failed, and holds up neither the heartbeat nor a stop. */
  async #check(check: () => void | Promise<void>): Promise<void> {
    const { clock, registerInterval } = this.#options;
    const limit = Math.max(registerInterval, 5000);
    const { name } = this.#options;
    const checked = (async () => check())();
    await within(
      clock,
      limit,
      abortable(checked, this.#stop.signal, () => errors.cancelled(name, "it is stopped")),
      () => {
        throw errors.timeout(name, `it did not settle within ${limit} ms`);
      },
    );
  }

  #failed(reason: string): void {
    if (this.#lastError !== reason && !this.#stop.signal.aborted)
      this.#options.logger.warn(`${this.record.name} is not registered: ${reason}`);
    this.#lastError = reason;
  }
}
