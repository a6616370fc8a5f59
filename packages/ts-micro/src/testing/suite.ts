/** The little of a test runner that suites need: vitest and node:test both have it. */
export interface Runner {
  describe(name: string, fn: () => void): void;
  it(name: string, fn: () => Promise<void> | void): void;
}

/** Promises that a driver cannot keep, each with the reason. */
export type Skips<Id extends string> = Partial<Record<Id, string>>;

/** A conformance suite: named promises, each tried on a fixture of its own. */
export interface Suite<Fixture, Id extends string> {
  readonly name: string;
  /** Makes what one promise is tried on. */
  setup(): Promise<Fixture> | Fixture;
  /** Runs after each promise, kept or broken. Throws when something was left open. */
  teardown?(fixture: Fixture): Promise<void> | void;
  /** Full sentence → how it is tried; it throws when the promise is broken. */
  readonly promises: Readonly<Record<Id, (fixture: Fixture) => Promise<void> | void>>;
  /** A skipped promise is tried all the same: the skip fails when the promise is kept, or does not exist. */
  readonly skip?: Skips<Id> | undefined;
}

/** How long a skipped promise is tried, in milliseconds: one that hangs is as broken as one that throws. */
const skippedLimit = 5_000;

/** Registers the promises of a suite with a test runner. */
export function defineSuite<Fixture, Id extends string>(t: Runner, suite: Suite<Fixture, Id>): void {
  const promises = Object.entries(suite.promises) as [Id, (fixture: Fixture) => Promise<void> | void][];
  const skip = new Map(Object.entries(suite.skip ?? {}) as [Id, string | undefined][]);
  t.describe(suite.name, () => {
    for (const [id, promise] of promises) {
      const reason = skip.get(id);
      skip.delete(id);
      if (reason === undefined) t.it(id, () => attempt(suite, promise));
      else t.it(`skipped (${reason}): ${id}`, () => mustFail(suite, promise, id));
    }
    for (const id of skip.keys()) {
      t.it(`stale skip: ${id}`, () => {
        throw new Error(`the suite "${suite.name}" has no promise "${id}": remove its skip`);
      });
    }
  });
}

async function attempt<Fixture, Id extends string>(
  suite: Suite<Fixture, Id>,
  promise: (fixture: Fixture) => Promise<void> | void,
): Promise<void> {
  const fixture = await suite.setup();
  try {
    await promise(fixture);
  } catch (error) {
    // The broken promise is the news, not what it left behind.
    await (async () => suite.teardown?.(fixture))().catch(() => {});
    throw error;
  }
  await suite.teardown?.(fixture);
}

async function mustFail<Fixture, Id extends string>(
  suite: Suite<Fixture, Id>,
  promise: (fixture: Fixture) => Promise<void> | void,
  id: Id,
): Promise<void> {
  try {
    await within(attempt(suite, promise), id, skippedLimit);
  } catch {
    return;
  }
  throw new Error(`"${id}" is kept: remove its skip`);
}

/** Fails when `work` has not settled after `limit` ms (default 30 s): a limit of liveness, not a measure of speed. */
export async function within<T>(work: Promise<T>, what: string, limit = 30_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limit} ms: ${what}`)), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `test` returns something truthy, and returns it; fails after `limit` ms (default 30 s). For what has no event to wait for. */
export async function eventually<T>(
  test: () => T | Promise<T>,
  what: string,
  limit = 30_000,
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + limit;
  for (;;) {
    const value = await test();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() > end) throw new Error(`not within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
