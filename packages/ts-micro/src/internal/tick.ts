import { systemClock, type Clock } from "../clock.ts";

/** Something that has gathered writes. */
export interface Flushing {
  flush(): void;
}

/** Once: the global is a getter. */
const host = process;
let scheduled = false;
let time = 0;
/** How often the time was asked for since a turn is known to have ended. */
let uses = 0;
/** Somebody will say when the turn ends. */
let begun = false;
/** `[0, count)`; longer, since to shorten an array costs more than to leave it. */
let waiting: (Flushing | undefined)[] = [];
let spare: (Flushing | undefined)[] = [];
let count = 0;

/** Flushes `one` when this turn of the event loop has done its work. It registers itself once between two flushes. */
export function atTickEnd(one: Flushing): void {
  waiting[count++] = one;
  if (!scheduled) schedule();
}

/** In a turn that asks for little the clock is read each time; then each so many times. A call asks about four times. */
const exact = 8;
const interval = 32;
/** To learn that a turn has ended costs more than the time: it is worth it to those that ask this often. They are exact up to there at least. */
const watched = 4;

/**
 * The time of the turn, for what is decided thousands of times in it: the clock is read for the first few, and then now and again, so
 * that neither a turn that blocks between two calls nor one that makes calls for seconds takes much from the deadlines of the later ones.
 * A clock that is not the system's is asked each time.
 */
export function tickTime(clock: Clock): number {
  if (clock !== systemClock) return clock.now();
  if (++uses === watched && !scheduled && !begun) schedule();
  if (uses <= exact || uses % interval === 0) time = clock.now();
  return time;
}

/** Reads the clock for a turn that begins here and ends, at the latest, with {@link endTurn}: nothing need be scheduled for it. */
export function beginTurn(clock: Clock): number {
  if (clock !== systemClock) return clock.now();
  begun = true;
  if (scheduled && uses > exact) return time;
  if (!scheduled) uses = 1;
  return (time = clock.now());
}

/** Between two turns, as far as whoever calls it knows: what asks next asks in a new one, unless calls of before are to be flushed. */
export function endTurn(): void {
  begun = false;
  if (!scheduled) uses = 0;
}

function schedule(): void {
  scheduled = true;
  host.nextTick(end);
}

function end(): void {
  scheduled = false;
  uses = 0;
  const due = waiting;
  const last = count;
  waiting = spare;
  count = 0;
  for (let i = 0; i < last; i++) {
    const one = due[i] as Flushing;
    due[i] = undefined;
    try {
      one.flush();
    } catch (error) {
      // One that fails does not keep the others back.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
  spare = due;
}
