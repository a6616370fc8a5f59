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
