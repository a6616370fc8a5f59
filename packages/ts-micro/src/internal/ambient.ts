import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import type { CallContext } from "../context.ts";

/**
 * The context of the running handler, without being told. `auto` switches it on at the first client or publisher of the process, so that
 * leaf services pay nothing: on Node 20 and 22 the first `run` taxes every await.
 */
let storage: AsyncLocalStorage<CallContext | undefined> | undefined;

/** Switches it on for the process; handlers entered from now on are seen. */
export function enableAmbient(): void {
  if (storage !== undefined) return;
  const made = new AsyncLocalStorage<CallContext | undefined>();
  storage = made;
  if (Number.parseInt(process.versions.node, 10) < 24) return;
  const probe = scope();
  const mark = {} as CallContext;
  probe.runInAsyncScope(() => made.enterWith(mark));
  frames = probe.runInAsyncScope(() => made.getStore()) !== mark;
}

/** The context of the handler that this code runs under. */
export function ambientContext(): CallContext | undefined {
  return storage?.getStore();
}

/** Runs `fn` under `context`. */
export function runAmbient<T>(context: CallContext, fn: () => T): T {
  return storage === undefined ? fn() : storage.run(context, fn);
}

/**
 * From Node 24 on `run` copies the map of all storages twice; the scope of a resource puts the former one back as it was. Not where Node
 * was told to do as before: there a resource keeps what was entered in it.
 */
let frames = false;

/** Where a handler runs besides its context: with the storages of others as they were when this was made. */
export type Scope = AsyncResource;

export function scope(): Scope {
  return new AsyncResource("MicroHandler");
}

/** Calls a handler under `context`, without a closure of its own. `around`: default where this is called. */
export function callAmbient<T>(
  context: CallContext,
  handler: (request: T, context: CallContext) => unknown,
  request: T,
  around: Scope | undefined,
): unknown {
  if (storage === undefined) return handler(request, context);
  if (!frames) return storage.run(context, handler, request, context);
  return (around ?? scope()).runInAsyncScope(enter<T>, undefined, context, handler, request);
}

function enter<T>(context: CallContext, handler: (request: T, context: CallContext) => unknown, request: T): unknown {
  storage?.enterWith(context);
  return handler(request, context);
}

/** Takes the steps of a handler's iterator, each under `context`. */
export function stepsAmbient<T>(context: CallContext, iterator: AsyncIterator<T>): () => Promise<IteratorResult<T>> {
  const used = storage;
  if (used === undefined) return () => iterator.next();
  if (!frames) return () => used.run(context, stepOf<T>, iterator);
  const within = used.run(context, scope);
  return () => within.runInAsyncScope(stepOf<T>, undefined, iterator);
}

function stepOf<T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
  return iterator.next();
}

/** Runs `fn` under no context. Whatever lives long (dial, watch, timer, pool) is opened this way, else the first request's context sticks to it. */
export function exitAmbient<T>(fn: () => T): T {
  return storage === undefined ? fn() : storage.exit(fn);
}
