import assert from "node:assert/strict";
import { MicroError } from "../errors.ts";
import type { Node } from "../registry.ts";
import type { Selector } from "../selector.ts";
import { defineSuite, type Runner, type Skips } from "./suite.ts";

export interface SelectorSuiteOptions {
  readonly name: string;
  /** A fresh selector. */
  create(): Selector;
  readonly skip?: Skips<SelectorPromise> | undefined;
}

/** Nodes to choose from. */
export function testNodes(service: string, count: number): Node[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `${service}-${i}`,
    address: `127.0.0.1:${40_000 + i}`,
    metadata: { protocol: "mucp" },
  }));
}

/** The error of a dial that was refused. */
export function refusedDial(): MicroError {
  const error = new MicroError({ code: "UNAVAILABLE", id: "test", detail: "connection refused", refused: true });
  error.layer = "dial";
  return error;
}

/** How often each of `nodes` was chosen in `times` calls, each of which succeeds in 1 ms. */
export function tally(selector: Selector, service: string, nodes: readonly Node[], times: number): Map<string, number> {
  const counts = new Map<string, number>(nodes.map((node) => [node.id, 0]));
  for (let i = 0; i < times; i++) {
    const node = selector.select(service, nodes);
    selector.started(service, node);
    selector.ended(service, node, 1);
    counts.set(node.id, (counts.get(node.id) as number) + 1);
  }
  return counts;
}

export type SelectorPromise =
  | "the only node is chosen, even when it failed in this call"
  | "every node gets its calls when all are alike"
  | "a node that failed in this call is not chosen again while another is left"
  | "when every node failed in this call, one of them is chosen"
  | "what is chosen is always one of the nodes given, however the list changes"
  | "when all nodes fail, calls still go to all of them"
  | "services do not disturb each other"
  | "after reset it chooses as a new one does"
  | "an end without a beginning, or of an unknown node, does no harm"
  | "errors of handlers, and ends that tell nothing, draw no calls";

const promises: Readonly<Record<SelectorPromise, (fixture: { selector: Selector }) => void>> = {
  "the only node is chosen, even when it failed in this call": ({ selector }) => {
    const nodes = testNodes("a", 1);
    assert.equal(selector.select("a", nodes), nodes[0]);
    assert.equal(selector.select("a", nodes, new Set(["a-0"])), nodes[0]);
  },
  "every node gets its calls when all are alike": ({ selector }) => {
    const counts = tally(selector, "a", testNodes("a", 5), 5000);
    // A fifth each; ten standard deviations of a fair draw are 283.
    for (const [id, count] of counts) assert.ok(count > 700 && count < 1300, `${id} was chosen ${count} times`);
  },
  "a node that failed in this call is not chosen again while another is left": ({ selector }) => {
    const nodes = testNodes("a", 4);
    for (let i = 0; i < 400; i++) {
      const exclude = new Set<string>();
      for (let attempt = 0; attempt < 4; attempt++) {
        const node = selector.select("a", nodes, exclude);
        assert.ok(!exclude.has(node.id), `${node.id} was chosen twice in one call`);
        exclude.add(node.id);
      }
    }
  },
  "when every node failed in this call, one of them is chosen": ({ selector }) => {
    const nodes = testNodes("a", 3);
    const all = new Set(nodes.map((node) => node.id));
    for (let i = 0; i < 50; i++) assert.ok(nodes.includes(selector.select("a", nodes, all)));
  },
  "what is chosen is always one of the nodes given, however the list changes": ({ selector }) => {
    const nodes = testNodes("a", 40);
    for (let i = 0; i < 2000; i++) {
      const from = i % 30;
      const some = i % 3 === 0 ? nodes.slice(from, from + 1 + (i % 10)) : nodes;
      const node = selector.select("a", some);
      assert.ok(some.includes(node));
      selector.started("a", node);
      selector.ended("a", node, 1, i % 5 === 0 ? refusedDial() : undefined);
    }
  },
  "when all nodes fail, calls still go to all of them": ({ selector }) => {
    const nodes = testNodes("a", 3);
    const seen = new Map<string, number>();
    for (let i = 0; i < 300; i++) {
      const node = selector.select("a", nodes);
      selector.started("a", node);
      selector.ended("a", node, 1, refusedDial());
      seen.set(node.id, (seen.get(node.id) ?? 0) + 1);
    }
    for (const node of nodes) assert.ok((seen.get(node.id) ?? 0) > 20, `${node.id} was given up`);
  },
  "services do not disturb each other": ({ selector }) => {
    const [a, b] = [testNodes("a", 2), testNodes("b", 3)];
    for (let i = 0; i < 200; i++) {
      assert.ok(a.includes(selector.select("a", a)));
      assert.ok(b.includes(selector.select("b", b)));
    }
  },
  "after reset it chooses as a new one does": ({ selector }) => {
    const nodes = testNodes("a", 2);
    for (let i = 0; i < 10; i++) {
      const node = selector.select("a", nodes);
      selector.started("a", node);
      selector.ended("a", node, 1, refusedDial());
    }
    selector.reset("a");
    const counts = tally(selector, "a", nodes, 1000);
    for (const [id, count] of counts) assert.ok(count > 300, `${id} was chosen ${count} times`);
    selector.reset();
    assert.ok(nodes.includes(selector.select("a", nodes)));
  },
  "an end without a beginning, or of an unknown node, does no harm": ({ selector }) => {
    const nodes = testNodes("a", 3);
    selector.ended("a", nodes[0] as Node, 1);
    selector.ended("b", nodes[0] as Node, 1, refusedDial());
    const counts = tally(selector, "a", nodes, 3000);
    for (const [id, count] of counts) assert.ok(count > 600, `${id} was chosen ${count} times`);
  },
  "errors of handlers, and ends that tell nothing, draw no calls": ({ selector }) => {
    const nodes = testNodes("a", 3);
    const counts = new Map<Node, number>();
    for (let i = 0; i < 3000; i++) {
      const node = selector.select("a", nodes);
      counts.set(node, (counts.get(node) ?? 0) + 1);
      selector.started("a", node);
      if (node === nodes[0]) selector.ended("a", node, 0.1, undefined, "alive");
      else if (node === nodes[1]) selector.ended("a", node, 0, undefined, "nothing");
      else selector.ended("a", node, 5);
    }
    const served = counts.get(nodes[2] as Node) ?? 0;
    assert.ok(served > 600, `the node that serves was chosen ${served} times`);
  },
};

/** What every selector promises. */
export function selectorSuite(t: Runner, options: SelectorSuiteOptions): void {
  defineSuite<{ selector: Selector }, SelectorPromise>(t, {
    name: `selector ${options.name}`,
    setup: () => ({ selector: options.create() }),
    promises,
    skip: options.skip,
  });
}
