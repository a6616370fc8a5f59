const names = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;

/**
 * Resolves at the first TERM, INT or QUIT, or when `signal` aborts. At a second one of the process's signals our handlers are gone and it
 * is raised again, so that it does what it does by default.
 */
export function signalled(listen: boolean, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    let seen = false;
    const remove = (): void => {
      for (const name of names) process.off(name, onSignal);
    };
    const done = (): void => {
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const onSignal = (name: NodeJS.Signals): void => {
      if (seen) {
        remove();
        process.kill(process.pid, name);
        return;
      }
      seen = true;
      done();
    };
    if (listen) for (const name of names) process.on(name, onSignal);
    signal?.addEventListener(
      "abort",
      () => {
        remove();
        done();
      },
      { once: true },
    );
  });
}

/** What ends a run. */
export interface UntilOptions {
  readonly handleSignal?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Somebody else stops it: the process's signals go on being ours until it has. */
  readonly stopped: AbortSignal;
}

/**
 * Starts, waits for {@link signalled} or a stop by somebody else, stops. A signal that comes while it starts counts too. Our handlers are
 * gone when it has stopped.
 */
export async function until(
  options: UntilOptions,
  start: () => Promise<void>,
  stop: () => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const { handleSignal = true, signal } = options;
  const ended = Promise.race([
    signalled(handleSignal, signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])),
    aborted(options.stopped),
  ]);
  let failed = false;
  let stopping: Promise<void> | undefined;
  const stopped = ended.then(() => (failed ? undefined : (stopping = stop())));
  stopped.catch(() => {}); // seen below
  try {
    await start();
    await stopped;
  } catch (error) {
    failed = true;
    await stopping?.catch(() => {});
    throw error;
  } finally {
    over.abort();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
