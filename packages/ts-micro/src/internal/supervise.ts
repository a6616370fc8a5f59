import { systemClock, type Clock } from "../clock.ts";
import { errors, fromUnknown, type ErrorCode, type MicroError } from "../errors.ts";
import { exitAmbient } from "./ambient.ts";
import { within } from "./within.ts";

/** A thing that must be up: a lease, a watch, a consumer, a lock. `U` is what it stands on. */
export interface Task<T, U = undefined> {
  readonly name: string;
  /** One attempt. `signal` is the fence: it aborts when this generation is over; what comes after must not touch the world. */
  start(up: U, signal: AbortSignal): Promise<T> | T;
  /** Settles when this generation is over; a rejection says why. */
  ended(value: T, signal: AbortSignal): Promise<unknown>;
  /** Undoes `start`. Also called with the value of a start that was given up. */
  stop?(value: T, why: MicroError): Promise<void> | void;
  /** Errors that trying again cannot cure; they park the task. Default: bad request, unauthorized, forbidden, unsupported, package missing. */
  fatal?(error: MicroError): boolean;
}

export interface Backoff {
  /** First pause, ms. Default 100. */
  readonly min?: number;
  /** Longest pause, ms. Default 5000. */
  readonly max?: number;
  /** Only a generation that was up this long (ms) resets the pauses, so that flapping never becomes a hot loop. Default 10 000. */
  readonly calm?: number;
}

export interface SuperviseOptions<U> {
  /** What the task stands on: it waits for it, and a new generation of it ends the task's. */
  up?: Supervised<U> | undefined;
  clock?: Clock | undefined;
  backoff?: Backoff | undefined;
  /** Uniform in [0, 1). Default Math.random. */
  random?: (() => number) | undefined;
}

/** `waiting`: for what it stands on. `down`: pausing before the next attempt. `failed`: parked by a fatal error. */
export type TaskState = "waiting" | "starting" | "up" | "down" | "failed" | "closed";

export interface TaskHealth {
  readonly name: string;
  readonly state: TaskState;
  /** Attempts so far. */
  readonly generation: number;
  /** Generations that ended since the last calm one. */
  readonly failures: number;
  /** Clock time of the last change of state. */
  readonly since: number;
  readonly error?: MicroError | undefined;
}

export interface Supervised<T> {
  readonly name: string;
  readonly state: TaskState;
  readonly generation: number;
  /** The live value; undefined unless `state` is `up`. */
  readonly current: T | undefined;
  /**
   * The live value; waits for it until `signal` aborts.
   * @throws MicroError UNAVAILABLE when the signal aborts or the task is parked, INVALID_STATE when it is closed.
   */
  value(signal?: AbortSignal): Promise<T>;
  /** Tells each change of state; returns how to stop. */
  onChange(listener: (state: TaskState) => void): () => void;
  health(): TaskHealth;
  /** Tries again now: ends a pause, or revives a parked task. */
  retry(): void;
  /** Fences and stops the live generation; no attempt follows. Idempotent. */
  close(): Promise<void>;
}

/** How long (ms) a generation that was given up may take to settle or stop before the next one goes on without it. */
const grace = 1000;

const hopeless: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "BAD_REQUEST",
  "UNAUTHORIZED",
  "FORBIDDEN",
  "UNSUPPORTED",
  "PACKAGE_MISSING",
]);

/** Keeps `task` up, from now until `close`. Let a library keep its own socket; supervise what it loses. */
export function supervise<T, U = undefined>(task: Task<T, U>, options: SuperviseOptions<U> = {}): Supervised<T> {
  return exitAmbient(() => new Supervisor(task, options));
}

type Outcome<T> = { readonly value: T } | { readonly error: MicroError };

class Supervisor<T, U> implements Supervised<T> {
  readonly name: string;
  readonly #task: Task<T, U>;
  readonly #up: Supervised<U> | undefined;
  readonly #clock: Clock;
  readonly #min: number;
  readonly #max: number;
  readonly #calm: number;
  readonly #random: () => number;
  readonly #listeners = new Set<(state: TaskState) => void>();
  readonly #loop: Promise<void>;
  #state: TaskState = "waiting";
  #generation = 0;
  #failures = 0;
  #since: number;
  #error: MicroError | undefined;
  #live: { readonly value: T } | undefined;
  #closed = false;
  /** Ends what the loop waits for: a pause, the floor below, or the live generation. */
  #wake: (why: MicroError) => void = () => {};
  #skipPause = false;

  constructor(task: Task<T, U>, options: SuperviseOptions<U>) {
    this.name = task.name;
    this.#task = task;
    this.#up = options.up;
    this.#clock = options.clock ?? systemClock;
    this.#min = options.backoff?.min ?? 100;
    this.#max = options.backoff?.max ?? 5000;
    this.#calm = options.backoff?.calm ?? 10_000;
    this.#random = options.random ?? Math.random;
    this.#since = this.#clock.now();
    this.#loop = this.#run();
  }

  get state(): TaskState {
    return this.#state;
  }

  get generation(): number {
    return this.#generation;
  }

  get current(): T | undefined {
    return this.#live?.value;
  }

  value(signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const settled = (): boolean => {
        if (this.#live !== undefined) resolve(this.#live.value);
        else if (this.#closed) reject(errors.invalidState(this.name, `${this.name} is closed`));
        else if (this.#state === "failed" || signal?.aborted === true) reject(this.#unavailable());
        else return false;
        return true;
      };
      if (settled()) return;
      const check = (): void => {
        if (!settled()) return;
        unlisten();
        signal?.removeEventListener("abort", check);
      };
      const unlisten = this.onChange(check);
      signal?.addEventListener("abort", check, { once: true });
    });
  }

  onChange(listener: (state: TaskState) => void): () => void {
    const own = (state: TaskState): void => listener(state);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  health(): TaskHealth {
    const { name } = this;
    const [state, generation, failures, since] = [this.#state, this.#generation, this.#failures, this.#since];
    return { name, state, generation, failures, since, error: this.#error };
  }

  retry(): void {
    if (this.#state !== "failed" && this.#state !== "down") return;
    this.#skipPause = true;
    // From now on waiting for the value makes sense again.
    if (this.#state === "failed") this.#set("waiting");
    this.#wake(errors.unavailable(this.name, "retry"));
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#wake(errors.invalidState(this.name, `${this.name} is closed`));
    }
    return this.#loop;
  }

  async #run(): Promise<void> {
    // The first step is a later turn, so that whoever made the task can look at it first.
    await Promise.resolve();
    while (!this.#closed) {
      const base = await this.#base();
      if (base === undefined) break;
      const error = await this.#once(base);
      if (this.#closed) break;
      // The floor below has pauses of its own.
      if (base.over()) continue;
      if (this.#task.fatal?.(error) ?? hopeless.has(error.code)) await this.#park();
      else await this.#pause();
    }
    this.#set("closed");
    this.#listeners.clear();
  }

  /** What the task stands on, once it is up; undefined when closed meanwhile. */
  async #base(): Promise<{ readonly up: U; readonly over: () => boolean } | undefined> {
    const up = this.#up;
    if (up === undefined) return { up: undefined as U, over: () => false };
    if (up.state !== "up") {
      this.#set("waiting");
      await this.#until((wake) => up.onChange(() => up.state === "up" && wake()));
    }
    if (this.#closed) return undefined;
    // It may have gone again in between; then this is a floor that is over from the start.
    const generation = up.generation;
    return { up: up.current as U, over: () => up.state !== "up" || up.generation !== generation };
  }

  /** One generation, from start to stop. Returns why it is over. */
  async #once(base: { readonly up: U; readonly over: () => boolean }): Promise<MicroError> {
    this.#generation++;
    this.#set("starting");
    const control = new AbortController();
    const lost = new Promise<MicroError>((resolve) => (this.#wake = resolve));
    const end = this.#wake;
    const check = (): void => {
      if (base.over()) end(errors.connectionLost(this.name, `what ${this.name} stands on is gone`));
    };
    const unlisten = this.#up?.onChange(check);
    check();
    const starting = base.over() ? lost.then((error) => ({ error })) : this.#start(base.up, control.signal);
    const started = await Promise.race([starting, lost.then((error) => ({ error }))]);
    let why: MicroError;
    if ("value" in started && !this.#closed && !base.over()) {
      const { value } = started;
      this.#live = started;
      const since = this.#clock.now();
      this.#set("up");
      const over = outcome(() => this.#task.ended(value, control.signal), this.name);
      why = await Promise.race([over.then((result) => this.#reason(result)), lost]);
      if (this.#clock.now() - since >= this.#calm) this.#failures = 0;
    } else {
      why = "error" in started ? started.error : errors.connectionLost(this.name, `${this.name} was given up`);
    }
    unlisten?.();
    this.#wake = () => {};
    this.#live = undefined;
    this.#error = why;
    control.abort(why);
    if (!base.over()) this.#failures++;
    if (!this.#closed) this.#set("down");
    // A start that was given up may still succeed: what it made is undone, whenever it comes.
    const undone = starting.then((result) => this.#stop(result, why));
    await this.#settled(undone);
    return why;
  }

  #start(up: U, signal: AbortSignal): Promise<Outcome<T>> {
    return outcome(() => this.#task.start(up, signal), this.name);
  }

  async #stop(result: Outcome<T>, why: MicroError): Promise<void> {
    if (!("value" in result)) return;
    await outcome(() => this.#task.stop?.(result.value, why), this.name);
  }

  #reason(result: Outcome<unknown>): MicroError {
    return "error" in result ? result.error : errors.connectionLost(this.name, `${this.name} ended`);
  }

  async #pause(): Promise<void> {
    const cap = Math.min(this.#max, this.#min * 2 ** Math.min(this.#failures - 1, 20));
    await this.#until((wake) => {
      const timer = this.#clock.after(cap / 2 + (this.#random() * cap) / 2, wake);
      return () => this.#clock.cancel(timer);
    });
  }

  /** Until it is revived: by hand, or because the floor below is a new one. */
  async #park(): Promise<void> {
    this.#set("failed");
    const generation = this.#up?.generation;
    await this.#until((wake) =>
      this.#up === undefined
        ? () => {}
        : this.#up.onChange((state) => state === "up" && this.#up?.generation !== generation && wake()),
    );
  }

  /** Waits for `arm`'s wake, `retry` or `close`. */
  async #until(arm: (wake: () => void) => () => void): Promise<void> {
    if (this.#closed || this.#skipPause) {
      this.#skipPause = false;
      return;
    }
    let disarm: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = () => resolve();
      disarm = arm(resolve);
    });
    disarm?.();
    this.#wake = () => {};
    this.#skipPause = false;
  }

  async #settled(work: Promise<void>): Promise<void> {
    await within(this.#clock, grace, work, () => {});
  }

  #unavailable(): MicroError {
    const why = this.#error?.detail ?? "not up yet";
    return errors.unavailable(this.name, `${this.name} is ${this.#state}: ${why}`, this.#error);
  }

  #set(state: TaskState): void {
    this.#state = state;
    this.#since = this.#clock.now();
    for (const listener of [...this.#listeners]) listener(state);
  }
}

async function outcome<R>(work: () => Promise<R> | R, name: string): Promise<Outcome<R>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: fromUnknown(error, name) };
  }
}
