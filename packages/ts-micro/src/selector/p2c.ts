import { systemClock, type Clock } from "../clock.ts";
import { milliseconds, type Duration } from "../duration.ts";
import type { MicroError } from "../errors.ts";
import type { Driver } from "../internal/driver.ts";
import type { Node } from "../registry.ts";
import type { Selector, Telling } from "../selector.ts";
import {
  apparent,
  begun,
  eject,
  givenUp,
  newState,
  over,
  probe,
  readmit,
  warm,
  warmth,
  type HealthOptions,
  type NodeState,
} from "./p2c/node.ts";

export interface P2cSelectorOptions {
  /** Failures in a row after which a node is ejected. Default 3. A refused dial or a draining node is ejected at once. */
  failures?: number | undefined;
  /** Length of the first ejection; each further one in a row is twice as long. Default 1 s. */
  ejection?: Duration | undefined;
  /** Longest ejection. Default 30 s. */
  maxEjection?: Duration | undefined;
  /** For how long a node that joins others, or comes back, gets less than its share. Default 5 s; 0 switches it off. */
  slowStart?: Duration | undefined;
  clock?: Clock | undefined;
  /** Uniform in [0, 1). Default: a xorshift of its own, a fifth of the cost of Math.random. */
  random?: (() => number) | undefined;
}

/** What is known of a node, to show to people. */
export interface NodeHealth {
  readonly service: string;
  readonly id: string;
  readonly inflight: number;
  /** Average latency in milliseconds; 0 when unknown. */
  readonly latency: number;
  readonly ejected: boolean;
}

export interface P2cSelector extends Selector {
  /** What it knows of each node. */
  snapshot(): NodeHealth[];
}

/**
 * Power of two choices: of two random nodes the one with the lower latency × calls in flight; three calls without an answer make its
 * silence its latency. Nodes that fail are ejected for a time
 * that grows and come back by way of a single probing call and a slow start; when all are ejected, all are used. This is the default.
 */
export function p2cSelector(options: P2cSelectorOptions = {}): P2cSelector {
  return new PowerOfTwo(options);
}

/** Chosen by name: `MICRO_SELECTOR=p2c`. */
export const driver: Driver<Selector> = { name: "p2c", fromAddress: () => p2cSelector() };

/** The states of the nodes of one array, in its order: a stable array costs no look-up. */
interface Slot {
  /** By the node's id. Nodes may serve several services, as a proxy's do: each has its own account of them. */
  readonly byId: Map<string, NodeState>;
  nodes: readonly Node[];
  states: NodeState[];
  /** Last other array seen: seen twice in a row, it takes the place of `nodes`. */
  next: readonly Node[] | undefined;
}

const none: ReadonlySet<string> = new Set();
/** Share of its apparent latency that a node loses when it loses a comparison by it: so a slow node is tried again after some hundred. */
const forget = 0.997;

class PowerOfTwo implements P2cSelector {
  readonly name = "p2c";
  readonly #clock: Clock;
  readonly #random: (() => number) | undefined;
  #seed = (Math.random() * 2 ** 32) | 1;
  readonly #health: HealthOptions;
  readonly #slots = new Map<string, Slot>();
  #lastService = "";
  #lastSlot: Slot | undefined;
  #lastNode: Node | undefined;
  #lastState: NodeState | undefined;
  #count = 0;
  #sweepAt = 64;

  constructor(options: P2cSelectorOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random;
    this.#health = {
      failures: Math.max(1, options.failures ?? 3),
      ejection: milliseconds(options.ejection ?? 1000),
      maxEjection: milliseconds(options.maxEjection ?? 30_000),
      slowStart: milliseconds(options.slowStart ?? 5000),
    };
  }

  select(service: string, nodes: readonly Node[], exclude?: ReadonlySet<string>): Node {
    const n = nodes.length;
    if (n < 2) {
      const only = nodes[0] as Node;
      if (only !== this.#lastNode || this.#lastState?.service !== service) {
        this.#sweepIfDue();
        this.#lastState = this.#state(service, only, false);
        this.#lastNode = only;
      }
      return only;
    }
    const slot = service === this.#lastService && this.#lastSlot !== undefined ? this.#lastSlot : this.#slot(service);
    const states = slot.nodes === nodes ? slot.states : this.#adopt(service, slot, nodes);
    // One draw for both: the pair's number among n × (n − 1).
    const pair = this.#draw(n * (n - 1));
    const i = pair % n;
    let j = (pair / n) | 0;
    if (j >= i) j++;
    const a = states === undefined ? this.#state(service, nodes[i] as Node, true) : (states[i] as NodeState);
    const b = states === undefined ? this.#state(service, nodes[j] as Node, true) : (states[j] as NodeState);
    if (a.marked || b.marked || (exclude !== undefined && exclude.size > 0))
      return this.#selectCarefully(service, nodes, exclude ?? none, i, j);
    const state = better(a, b, this.#clock);
    const node = nodes[state === a ? i : j] as Node;
    this.#lastNode = node;
    this.#lastState = state;
    return node;
  }

  started(service: string, node: Node): void {
    const last = this.#lastState;
    if (node === this.#lastNode && last?.service === service) begun(last, this.#clock);
    else {
      this.#sweepIfDue();
      begun(this.#state(service, node, false), this.#clock);
    }
  }

  ended(service: string, node: Node, ms: number, error?: MicroError, tells?: Telling): void {
    const last = this.#lastState;
    const state =
      node === this.#lastNode && last?.service === service ? last : this.#slots.get(service)?.byId.get(node.id);
    if (state === undefined) return;
    if (tells !== undefined) return this.#told(state, ms, tells);
    over(state);
    if (error !== undefined) this.#failed(state, error);
    else if (state.ejected || state.failures > 0) this.#recovered(state);
    // Rises fast, falls slowly: one slow answer costs less than sending many calls to a slow node.
    if (error === undefined || ms > state.ewma) {
      if (state.ewma === 0) state.ewma = Math.max(ms, 1e-3);
      else state.ewma += (ms - state.ewma) * (ms > state.ewma ? 0.5 : 0.2);
    }
  }

  reset(service?: string): void {
    if (service === undefined) this.#slots.clear();
    else this.#slots.delete(service);
    this.#count = this.#all().length;
    this.#forgetLast();
  }

  snapshot(): NodeHealth[] {
    return this.#all().map(({ service, id, inflight, ewma, ejected }) => ({
      service,
      id,
      inflight,
      latency: ewma,
      ejected,
    }));
  }

  #all(): NodeState[] {
    return [...this.#slots.values()].flatMap(({ byId }) => Array.from(byId.values()));
  }

  /** A whole number below `n`. */
  #draw(n: number): number {
    if (this.#random !== undefined) return Math.floor(this.#random() * n);
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x;
    return (x >>> 0) % n;
  }

  /** Some candidate is ejected, in slow start, or to be left out. */
  #selectCarefully(service: string, nodes: readonly Node[], exclude: ReadonlySet<string>, i: number, j: number): Node {
    const now = this.#clock.now();
    const n = nodes.length;
    let a: Node | undefined;
    let b: Node | undefined;
    // A few draws, then all in turn from a random place: unbiased while few are out, certain when many are.
    const draws = 8;
    const from = this.#draw(n);
    const luck = this.#draw(1024) / 1024;
    for (let draw = 0; draw < draws + n && b === undefined; draw++) {
      const at = draw === 0 ? i : draw === 1 ? j : draw < draws ? this.#draw(n) : (from + draw) % n;
      const node = nodes[at] as Node;
      if (node === a || exclude.has(node.id)) continue;
      const state = this.#state(service, node, true);
      if (state.ejected) {
        if (now < state.until || exclude.size > 0 || draw > 1) continue;
        probe(state, now, this.#health);
        return node;
      }
      if (state.marked && now >= state.until) state.marked = false;
      if (state.marked && draw < draws && luck >= warmth(state, now, this.#health)) continue;
      if (a === undefined) a = node;
      else b = node;
    }
    if (a === undefined) return this.#lastResort(service, nodes, exclude);
    if (b === undefined) return a;
    const first = this.#state(service, a, true);
    const second = this.#state(service, b, true);
    return better(first, second, this.#clock) === first ? a : b;
  }

  /** Everything is ejected or excluded: an ejected one that did not fail in this call, else any. */
  #lastResort(service: string, nodes: readonly Node[], exclude: ReadonlySet<string>): Node {
    let found: Node | undefined;
    let rank = 0;
    let count = 0;
    for (const node of nodes) {
      const mine = !exclude.has(node.id) ? 3 : this.#state(service, node, true).ejected ? 1 : 2;
      if (mine > rank) count = 0;
      if (mine < rank) continue;
      rank = mine;
      if (this.#draw(++count) === 0) found = node;
    }
    const state = this.#state(service, found as Node, true);
    if (state.ejected && state.trial === "none") state.trial = "panic";
    return found as Node;
  }

  #failed(state: NodeState, error: MicroError): void {
    const now = this.#clock.now();
    if (state.ejected) {
      // Calls that began before the ejection, and those sent for lack of anything better, say nothing new.
      if (state.trial === "probe") eject(state, now, this.#health);
      return;
    }
    state.failures++;
    if (state.failures >= this.#health.failures || gone(error)) eject(state, now, this.#health);
  }

  /** Neither a success nor a fault: what fails at once is not fast, and what was given up took longer than it seems. */
  #told(state: NodeState, ms: number, tells: Telling): void {
    const isAlive = tells === "alive";
    if (isAlive) {
      over(state);
      this.#recovered(state);
    } else givenUp(state);
    if (ms <= state.ewma) return;
    if (state.ewma > 0) state.ewma += (ms - state.ewma) * 0.5;
    else if (!isAlive) state.ewma = ms;
  }

  #recovered(state: NodeState): void {
    if (!state.ejected) state.failures = 0;
    else if (state.trial !== "none") readmit(state, this.#clock.now(), this.#health);
  }

  #slot(service: string): Slot {
    if (service === this.#lastService && this.#lastSlot !== undefined) return this.#lastSlot;
    let slot = this.#slots.get(service);
    if (slot === undefined) {
      if (this.#slots.size >= 4096) this.reset();
      slot = { byId: new Map(), nodes: [], states: [], next: undefined };
      this.#slots.set(service, slot);
    }
    this.#lastService = service;
    this.#lastSlot = slot;
    return slot;
  }

  /** The states of `nodes` once the same array came twice in a row; before that undefined. The first array of a service is taken at once. */
  #adopt(service: string, slot: Slot, nodes: readonly Node[]): NodeState[] | undefined {
    this.#sweepIfDue();
    const first = slot.nodes.length === 0;
    if (!first && slot.next !== nodes) {
      slot.next = nodes;
      return undefined;
    }
    slot.next = undefined;
    slot.nodes = nodes;
    slot.states = nodes.map((node) => this.#state(service, node, !first));
    return slot.states;
  }

  #state(service: string, node: Node, joins: boolean): NodeState {
    const { byId } = this.#slot(service);
    const known = byId.get(node.id);
    if (known !== undefined) return known;
    const state = newState(node.id, service);
    if (joins) warm(state, this.#clock.now(), this.#health);
    byId.set(node.id, state);
    this.#count++;
    return state;
  }

  /** Drops the nodes that are in no list, have no call and no ejection running. Never while somebody holds a state that is in no list yet. */
  #sweepIfDue(): void {
    if (this.#count < this.#sweepAt) return;
    const now = this.#clock.now();
    this.#count = 0;
    for (const [service, slot] of this.#slots) {
      const live = new Set(slot.states);
      for (const [id, state] of slot.byId)
        if (!live.has(state) && state.inflight === 0 && (!state.ejected || state.until <= now)) slot.byId.delete(id);
      this.#count += slot.byId.size;
      // The last one is in the hands of whoever had it swept.
      if (slot.byId.size === 0 && slot !== this.#lastSlot) this.#slots.delete(service);
    }
    this.#forgetLast();
    this.#sweepAt = Math.max(64, this.#count * 2);
  }

  #forgetLast(): void {
    this.#lastService = "";
    this.#lastSlot = undefined;
    this.#lastNode = undefined;
    this.#lastState = undefined;
  }
}

/** The one with the lower latency × calls; where the latency of one is unknown, only the calls count. */
function better(a: NodeState, b: NodeState, clock: Clock): NodeState {
  const x = apparent(a, clock);
  const y = apparent(b, clock);
  if (x === 0 || y === 0) return a.inflight <= b.inflight ? a : b;
  if (x * (a.inflight + 1) <= y * (b.inflight + 1)) {
    if (y > x) b.ewma *= forget;
    return a;
  }
  if (x > y) a.ewma *= forget;
  return b;
}

/** The node is not there any more, or says that it is leaving. Overload (RESOURCE_EXHAUSTED) is neither, nor a caller's short deadline. */
function gone(error: MicroError): boolean {
  if (error.code === "TIMEOUT") return false;
  return error.layer === "dial" || error.code === "DRAINING" || (error.refused && error.code !== "RESOURCE_EXHAUSTED");
}
