import type { Node } from "../../registry.ts";

/** The first node from `place` on, around the end, that is not excluded; the one at `place` when all are. */
export function fromPlace(nodes: readonly Node[], place: number, exclude: ReadonlySet<string> | undefined): Node {
  const first = nodes[place] as Node;
  if (exclude === undefined || exclude.size === 0) return first;
  for (let step = 0; step < nodes.length; step++) {
    const node = nodes[(place + step) % nodes.length] as Node;
    if (!exclude.has(node.id)) return node;
  }
  return first;
}
