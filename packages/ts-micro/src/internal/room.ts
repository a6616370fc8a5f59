import type { MicroError } from "../errors.ts";

/** Senders that wait until there is room again. */
export class Room {
  #waiting: { resolve(): void; reject(error: MicroError): void }[] = [];

  wait(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  open(): void {
    for (const each of this.#take()) each.resolve();
  }

  close(error: MicroError): void {
    for (const each of this.#take()) each.reject(error);
  }

  #take(): { resolve(): void; reject(error: MicroError): void }[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
