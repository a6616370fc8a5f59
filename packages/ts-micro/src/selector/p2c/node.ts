import type { Clock } from "../../clock.ts";
import { tickTime } from "../../internal/tick.ts";

/** What p2c knows of one node. Monomorphic and flat: it is read on every call. */
export interface NodeState {
  readonly id: string;
  readonly service: string;
  inflight: number;
  /** Calls that began since it last answered one, and when the third of them did. */
  unanswered: number;
  silentSince: number;
  /** Moving average of the latency of successes in milliseconds; 0 until the first. */
  ewma: number;
  /** Ejected or in slow start: the hot path leaves such nodes to the slow one, which reads the clock. */
  marked: boolean;
  /** Failures in a row. */
  failures: number;
  /** Ejections in a row, which make each longer. */
  ejections: number;
  ejected: boolean;
  /** While ejected: when the next probe may go. In slow start: when it ends. */
  until: number;
  /** Picked since it was ejected: only then do outcomes say something new. `panic`: nothing else was there. */
  trial: "none" | "probe" | "panic";
  /** When it was last taken back. */
  returned: number;
}

/** A node that nothing is known of. */
export function newState(id: string, service: string): NodeState {
  return {
    id,
    service,
    inflight: 0,
    unanswered: 0,
    silentSince: 0,
    ewma: 0,
    marked: false,
    failures: 0,
    ejections: 0,
    ejected: false,
    until: 0,
    trial: "none",
    returned: -Infinity,
  };
}

/** Unanswered calls from which on silence says something: fewer may be calls that take long by nature. */
const silent = 3;

/** A call goes to it. */
export function begun(state: NodeState, clock: Clock): void {
  state.inflight++;
  if (++state.unanswered === silent) state.silentSince = tickTime(clock);
}

/** A call has ended. */
export function over(state: NodeState): void {
  if (state.inflight > 0) state.inflight--;
  state.unanswered = 0;
}

/** A call has ended without a word of it. With none left, its silence is no news. */
export function givenUp(state: NodeState): void {
  if (state.inflight > 0) state.inflight--;
  if (state.inflight === 0) state.unanswered = 0;
}

/** Its latency as it seems now: a node that says nothing is as slow as its silence is long, or a frozen one would look fast for ever. */
export function apparent(state: NodeState, clock: Clock): number {
  const { ewma, unanswered } = state;
  return unanswered < silent ? ewma : Math.max(ewma, tickTime(clock) - state.silentSince);
}

/** Times in milliseconds. */
export interface HealthOptions {
  readonly failures: number;
  readonly ejection: number;
  readonly maxEjection: number;
  readonly slowStart: number;
}

/** Takes the node out of rotation; each time in a row twice as long, unless it did well for `maxEjection` in between. */
export function eject(state: NodeState, now: number, options: HealthOptions): void {
  if (!state.ejected && now - state.returned > options.maxEjection) state.ejections = 0;
  state.ejected = true;
  state.marked = true;
  state.trial = "none";
  state.failures = 0;
  state.until = now + Math.min(options.maxEjection, options.ejection * 2 ** Math.min(state.ejections, 30));
  state.ejections++;
}

/** Sends one call to see whether it is back; until that has ended, or as long as the ejection lasted, no other goes. */
export function probe(state: NodeState, now: number, options: HealthOptions): void {
  state.trial = "probe";
  state.until = now + Math.min(options.maxEjection, options.ejection * 2 ** Math.min(state.ejections, 30));
}

/** Takes the node back, with a slow start. */
export function readmit(state: NodeState, now: number, options: HealthOptions): void {
  state.ejected = false;
  state.trial = "none";
  state.failures = 0;
  state.returned = now;
  state.ewma = 0;
  warm(state, now, options);
}

/** Begins the slow start of a node that joined others, or came back. */
export function warm(state: NodeState, now: number, options: HealthOptions): void {
  state.marked = options.slowStart > 0;
  state.until = now + options.slowStart;
}

/** The share of its share that a node in slow start gets: from a tenth to all of it. */
export function warmth(state: NodeState, now: number, options: HealthOptions): number {
  return 1 - (0.9 * (state.until - now)) / options.slowStart;
}
