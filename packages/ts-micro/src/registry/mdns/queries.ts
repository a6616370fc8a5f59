import { randomBytes } from "../../internal/random.ts";
import { sleep, type Clock } from "../../clock.ts";
import { errors } from "../../errors.ts";
import { encodePacket } from "../../wire/dns.ts";

/** Turns of the event loop that reading may go on after the window, each for some 30 packets of a socket. */
const maxTurns = 64;

/** What questions go out on: {@link import("./link.ts").Link}. */
export interface Line {
  /** Packets that came so far. */
  readonly received: number;
  multicast(packet: Uint8Array): Promise<void>;
}

/** Asks for a name and collects what comes within a window; whoever answers, and however often, nobody knows beforehand. */
export class Queries<T> {
  readonly #link: Line;
  readonly #clock: Clock;
  readonly #window: number;
  readonly #pending = new Map<string, Set<(answer: T) => void>>();
  readonly #controls = new Set<AbortController>();
  #closed = false;

  constructor(link: Line, clock: Clock, windowMs: number) {
    this.#link = link;
    this.#clock = clock;
    this.#window = windowMs;
  }

  /** One question by multicast, from where the answers are read. Rejects with REGISTRY_UNAVAILABLE when it went nowhere. */
  async send(name: string): Promise<void> {
    await this.#link.multicast(encodePacket({ id: randomBytes(2).readUInt16BE(), questions: [{ name, type: "PTR" }] }));
  }

  /**
   * Resolves when the window is over.
   * @throws MicroError REGISTRY_UNAVAILABLE, CANCELLED, INVALID_STATE
   */
  async ask(name: string, take: (answer: T) => void, signal?: AbortSignal): Promise<void> {
    const control = new AbortController();
    const over = control.signal;
    const abort = (): void => control.abort();
    if (this.#closed || signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    this.#controls.add(control);
    let answered = false;
    const listener = (answer: T): void => {
      answered = true;
      take(answer);
    };
    const pending = this.#pending.get(name) ?? new Set();
    pending.add(listener);
    this.#pending.set(name, pending);
    try {
      await this.send(name);
      await sleep(this.#clock, this.#window / 2, over);
      // The question or its answers may have been lost.
      if (!answered && !over.aborted) await this.send(name).catch(() => {});
      await sleep(this.#clock, this.#window / 2, over);
      await this.#drain(over);
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#controls.delete(control);
      pending.delete(listener);
      if (pending.size === 0) this.#pending.delete(name);
    }
    if (this.#closed) throw errors.invalidState("mdns", "the registry is closed");
    if (over.aborted) throw errors.cancelled("mdns", "the caller gave up");
  }

  /** Whether somebody waits for answers for this name. */
  asks(name: string): boolean {
    return this.#pending.has(name);
  }

  answer(name: string, answer: T): void {
    for (const listener of this.#pending.get(name) ?? []) listener(answer);
  }

  /** In a busy process the timer may fire before what came in time was read: reading goes on while there is something. */
  async #drain(over: AbortSignal): Promise<void> {
    for (let turn = 0, received = -1; turn < maxTurns && received !== this.#link.received && !over.aborted; turn++) {
      received = this.#link.received;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    this.#closed = true;
    for (const control of this.#controls) control.abort();
  }
}
