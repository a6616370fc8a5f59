import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { RegistryEvent, WatchOptions, Watcher } from "../../registry.ts";
import { AsyncQueue } from "../../internal/async-queue.ts";
import { cloneRecord } from "./records.ts";

/** Events that may wait for a reader; one that is further behind has to look up afresh. */
const room = 1024;

/** The watchers of one registry. */
export class Watchers {
  readonly #name: string;
  readonly #seeing = new Set<{ readonly service: string | undefined; readonly queue: AsyncQueue<RegistryEvent> }>();
  readonly #all = new Set<AsyncQueue<RegistryEvent>>();

  /** `name` of the registry, for errors. */
  constructor(name: string) {
    this.#name = name;
  }

  /** How many are open. */
  get size(): number {
    return this.#all.size;
  }

  /** A watcher that sees what is emitted from the moment on that `prepare` has settled; a rejection of it is the watcher's end. `left` runs once it is over. */
  watch(options: WatchOptions, prepare: () => Promise<void>, left: () => void = () => {}): Watcher {
    const { service, signal, background = false } = options;
    let abandon: (error: unknown) => void = () => {};
    const abandoned = new Promise<never>((_, reject) => (abandon = reject));
    abandoned.catch(() => {});
    const close = (): void => queue.close();
    const overflow = (): MicroError => errors.resourceExhausted(this.#name, `a watcher fell ${room} events behind`);
    const queue = new AsyncQueue<RegistryEvent>(
      room,
      overflow,
      () => {
        signal?.removeEventListener("abort", close);
        this.#all.delete(queue);
        this.#seeing.delete(entry);
        abandon(errors.cancelled(this.#name, "the watch ended before it began to see"));
        left();
      },
      background,
    );
    const entry = { service, queue };
    this.#all.add(queue);
    const ready = Promise.race([abandoned, prepare()]).then(
      () => {
        if (this.#all.has(queue)) this.#seeing.add(entry);
      },
      (error: unknown) => {
        const why = fromUnknown(error, this.#name);
        queue.end(why);
        throw why;
      },
    );
    ready.catch(() => {});
    if (signal?.aborted === true) close();
    else signal?.addEventListener("abort", close, { once: true });
    return {
      ready,
      [Symbol.asyncIterator]: () => queue,
      close: async () => close(),
      [Symbol.asyncDispose]: async () => close(),
    };
  }

  /** Hands each watcher a copy of its own. */
  emit(event: RegistryEvent): void {
    const { action, service } = event;
    for (const watcher of this.#seeing)
      if (watcher.service === undefined || watcher.service === service.name)
        watcher.queue.push({ action, service: cloneRecord(service) });
  }

  /** Ends all of them, without an error. */
  close(): void {
    for (const queue of [...this.#all]) queue.end();
  }
}
