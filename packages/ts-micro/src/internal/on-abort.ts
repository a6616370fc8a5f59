/** What waits for a signal: one listener of it, whatever their number. Node warns of eleven, and each costs more than a call. */
class Waiting {
  readonly all: Set<() => void> = new Set();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this, { once: true });
  }

  handleEvent(): void {
    waiting.delete(this.#signal);
    for (const told of this.all) told();
  }

  remove(told: () => void): void {
    if (!this.all.delete(told) || this.all.size > 0 || waiting.get(this.#signal) !== this) return;
    waiting.delete(this.#signal);
    this.#signal.removeEventListener("abort", this);
  }
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls `told`, which throws nothing, when `signal`, which is not aborted yet, aborts. Returns the way to unlink it. */
export function onAbort(signal: AbortSignal, told: () => void): () => void {
  let on = waiting.get(signal);
  if (on === undefined) waiting.set(signal, (on = new Waiting(signal)));
  on.all.add(told);
  return () => on.remove(told);
}
