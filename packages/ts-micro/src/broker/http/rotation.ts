import type { Node } from "../../registry.ts";

/** Whose turn it is, per queue and topic. */
export class Rotation {
  readonly #turns = new Map<string, number>();

  /** `nodes`, beginning with the next in turn. */
  next(key: string, nodes: readonly Node[]): Node[] {
    if (this.#turns.size >= 4096) this.#turns.clear();
    const turn = this.#turns.get(key) ?? Math.floor(Math.random() * nodes.length);
    this.#turns.set(key, (turn + 1) % 2 ** 30);
    const first = turn % nodes.length;
    return [...nodes.slice(first), ...nodes.slice(0, first)];
  }
}
