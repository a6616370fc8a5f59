import { AsyncLocalStorage } from "node:async_hooks";
import type { CallContext } from "../context.ts";

/**
 * The context of the running handler, without being told. `auto` switches it on at the first client or publisher of the process, so that
 * leaf services pay nothing: on Node 20 and 22 the first `run` taxes every await.
 */
let storage: AsyncLocalStorage<CallContext | undefined> | undefined;

/** Switches it on for the process; handlers entered from now on are seen. */
export function enableAmbient(): void {
  storage ??= new AsyncLocalStorage();
}

/** The context of the handler that this code runs under. */
export function ambientContext(): CallContext | undefined {
  return storage?.getStore();
}

/** Runs `fn` under `context`. */
export function runAmbient<T>(context: CallContext, fn: () => T): T {
  return storage === undefined ? fn() : storage.run(context, fn);
}

/** Calls a handler under `context`, without a closure of its own. */
export function callAmbient<T>(
  context: CallContext,
  handler: (request: T, context: CallContext) => unknown,
  request: T,
): unknown {
  return storage === undefined ? handler(request, context) : storage.run(context, handler, request, context);
}

/** The next step of a handler's iterator, under `context`. */
export function nextAmbient<T>(context: CallContext, iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
  return storage === undefined ? iterator.next() : storage.run(context, stepOf<T>, iterator);
}

function stepOf<T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
  return iterator.next();
}

/** Runs `fn` under no context. Whatever lives long (dial, watch, timer, pool) is opened this way, else the first request's context sticks to it. */
export function exitAmbient<T>(fn: () => T): T {
  return storage === undefined ? fn() : storage.exit(fn);
}
