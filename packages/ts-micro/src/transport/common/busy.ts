/** Whether calls are under way on a server's connection: {@link Connection.busy}. */
export class Busyness {
  #held = false;
  #pending = 0;

  get idle(): boolean {
    return !this.#held && this.#pending === 0;
  }

  /** Messages that wait for their reply; 0 when the owner keeps count itself. */
  get pending(): number {
    return this.#held ? 0 : this.#pending;
  }

  received(): void {
    this.#pending++;
  }

  sent(): void {
    if (this.#pending > 0) this.#pending--;
  }

  set(yes: boolean): void {
    this.#held = yes;
    if (!yes) this.#pending = 0;
  }
}
