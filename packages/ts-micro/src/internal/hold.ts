import { atTickEnd } from "./tick.ts";

/**
 * Keeps the process alive while something is pending. All sockets and timers of the library are unref'd; a pending call, stream, look-up
 * or user's watch holds this one timer instead, so a client file ends by itself when its work is done.
 */
let held = 0;
let timer: NodeJS.Timeout | undefined;
/** Whether the timer keeps the process: it goes on to the end of the turn, as calls that follow one another would move it twice each. */
let keeping = false;
let leaving = false;
/** The real one, whatever a test runner puts in its place meanwhile. */
const microtask = queueMicrotask;
const letGo = {
  flush(): void {
    leaving = false;
    if (held > 0) return;
    keeping = false;
    timer?.unref();
  },
};

export function hold(): void {
  if (held++ > 0 || keeping) return;
  keeping = true;
  if (timer === undefined) timer = setInterval(() => {}, 2 ** 30);
  else timer.ref();
}

export function release(): void {
  if (held === 0 || --held > 0 || leaving) return;
  leaving = true;
  // Not at once: what is due in this tick comes before whoever waited goes on, and makes the next call.
  microtask(leave);
}

function leave(): void {
  atTickEnd(letGo);
}

/** Holds while `work` is pending. */
export async function holding<T>(work: Promise<T>): Promise<T> {
  hold();
  try {
    return await work;
  } finally {
    release();
  }
}
