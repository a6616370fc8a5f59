import { CallContext, type Cancellation, type Context, type Kind } from "../context.ts";
import { MicroError, errors, fromUnknown, isMicroError } from "../errors.ts";
import { callAmbient, exitAmbient, runAmbient, stepsAmbient, scope, type Scope } from "../internal/ambient.ts";
import { compile } from "../internal/around.ts";
import { isAsyncIterable, iterateOnce } from "../internal/async-iterable.ts";
import type { HandlerInterceptor, RoutedEndpoint, ServerCall } from "../server.ts";
import { saysMissing } from "../wire/error.ts";
import { parse } from "./validate.ts";

type Run = (call: ServerCall) => Promise<unknown>;
type Handler = (request: unknown, ctx: Context) => unknown;

/** An endpoint ready to be called: schemas, interceptors and handler in one function, built once. */
export class Dispatch {
  readonly endpoint: RoutedEndpoint;
  readonly kind: Kind;
  /** Where calls that come over a wire run. */
  readonly scope: Scope = exitAmbient(scope);
  readonly #service: string;
  readonly #direct: boolean;
  readonly #run: Run;

  constructor(service: string, endpoint: RoutedEndpoint, interceptors: readonly HandlerInterceptor[]) {
    this.endpoint = endpoint;
    this.kind = endpoint.kind;
    this.#service = service;
    this.#direct = interceptors.length === 0;
    this.#run = compile(interceptors, (call) => answer(endpoint.handler, call));
  }

  /** The reply to one request, parsed and checked. `ctx` is finished when the handler has settled, not when its caller gave up. Throws and rejects with anything; the caller contains it. */
  unary(raw: unknown, ctx: CallContext): unknown {
    let result: unknown;
    try {
      result = this.begin(raw, ctx);
    } catch (error) {
      ctx.finish();
      throw error;
    }
    if (!(result instanceof Promise)) {
      ctx.finish();
      return this.checked(result);
    }
    return result.then(
      (value) => {
        ctx.finish();
        return this.checked(value);
      },
      (error: unknown) => {
        ctx.finish();
        throw error;
      },
    );
  }

  /**
   * What the handler gives for a raw request, through its response schema: a promise, if any of it comes later, or a value;
   * {@link Dispatch.checked} makes a reply of it. The context is not finished here. Throws and rejects with anything. `around`: default the
   * caller's.
   */
  begin(raw: unknown, ctx: CallContext, around?: Scope): unknown {
    const request = this.#request(raw);
    return request instanceof Promise
      ? request.then((parsed) => this.#begin(parsed, ctx, around))
      : later(this.#begin(request, ctx, around));
  }

  #begin(request: unknown, ctx: CallContext, around: Scope | undefined): unknown {
    const result = this.#call(request, ctx, around);
    if (this.endpoint.definition.response === undefined) return result;
    // What the schema waits for is part of the call: its deadline, its caller and a drain know of it.
    const settled = later(result);
    return settled instanceof Promise
      ? settled.then((value) => this.#response(this.checked(value)))
      : this.#response(this.checked(settled));
  }

  /**
   * As `begin`, for a caller who wants a promise anyway: of a value that is there already it may be the one that the interceptors saw,
   * which is no other than {@link taken} then.
   */
  beginWithin(raw: unknown, ctx: CallContext): unknown {
    const { request, response } = this.endpoint.definition;
    if (this.#direct || request !== undefined || response !== undefined) return this.begin(raw, ctx);
    const result = this.#around(raw, ctx, undefined);
    const same = result === promised;
    const given = value;
    promised = value = undefined;
    if (same) {
      this.checked(given);
      ready = result;
    }
    return result;
  }

  /** The reply that a handler's value stands for. */
  checked(value: unknown): unknown {
    if (isAsyncIterable(value)) throw this.#streamed();
    return value;
  }

  #streamed(): MicroError {
    return fault(
      this.#service,
      `${this.endpoint.name} returned a stream: make it an async generator method, or declare it with endpoint({ stream: "server" }, …)`,
    );
  }

  /**
   * Runs a stream: each reply goes to `send`, whose promise is waited for. When it is cancelled the handler's generator is ended at once;
   * the promise, which is for the caller to race with the cancellation, settles when the generator says something.
   */
  async stream(
    raw: AsyncIterable<unknown>,
    ctx: CallContext,
    cancellation: Cancellation,
    send: (value: unknown) => Promise<void> | undefined,
  ): Promise<void> {
    let replies: AsyncIterable<unknown> | undefined;
    try {
      const receives = this.kind === "client" || this.kind === "bidi";
      const request = receives ? this.#requests(raw) : await this.#first(raw);
      const result = await this.#call(request, ctx, undefined);
      if (this.kind === "client") {
        await send(await this.#response(result));
        return;
      }
      if (!isAsyncIterable(result))
        throw fault(this.#service, `${this.endpoint.name} is a stream, its handler returned no AsyncIterable`);
      replies = result;
    } finally {
      if (replies === undefined) ctx.finish();
    }
    await this.#replies(replies[Symbol.asyncIterator](), ctx, cancellation, send);
  }

  async #replies(
    iterator: AsyncIterator<unknown>,
    ctx: CallContext,
    cancellation: Cancellation,
    send: (value: unknown) => Promise<void> | undefined,
  ): Promise<void> {
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      // Not awaited: a generator that waits for something would hold up the end of the stream.
      void leave(iterator, ctx);
    };
    const unlink = cancellation.onCancel(end);
    const plain = this.endpoint.definition.response === undefined;
    // A generator's body sees the context of whoever calls `next`: each one runs under the call's own.
    const next = stepsAmbient(ctx, iterator);
    try {
      while (!over) {
        const step = await next();
        if (over) break;
        if (step.done) {
          over = true;
          ctx.finish();
          return;
        }
        const wait = send(plain ? step.value : await this.#response(step.value));
        if (wait !== undefined) await wait;
      }
      throw cancellation.reason as MicroError;
    } finally {
      unlink();
      end();
    }
  }

  #call(request: unknown, ctx: CallContext, around: Scope | undefined): unknown {
    if (this.#direct) return callAmbient(ctx, this.endpoint.handler as Handler, request, around);
    const result = this.#around(request, ctx, around);
    const given = result === promised ? value : result;
    promised = value = undefined;
    return given;
  }

  #around(request: unknown, ctx: CallContext, around: Scope | undefined): unknown {
    promised = value = undefined;
    asked = true;
    const result = callAmbient(ctx, this.#run, { ctx, kind: this.kind, request }, around);
    asked = false;
    return result;
  }

  #request(raw: unknown): unknown {
    const { request } = this.endpoint.definition;
    return request === undefined
      ? raw
      : parse(request, raw, (detail) => errors.badRequest(this.#service, `${this.endpoint.name}: ${detail}`));
  }

  #response(value: unknown): unknown {
    const { response } = this.endpoint.definition;
    return response === undefined
      ? value
      : parse(response, value, (detail) =>
          fault(this.#service, `${this.endpoint.name}: the handler's reply does not fit its schema: ${detail}`),
        );
  }

  async #first(raw: AsyncIterable<unknown>): Promise<unknown> {
    const step = await raw[Symbol.asyncIterator]().next();
    if (step.done) throw errors.badRequest(this.#service, `${this.endpoint.name}: no request was sent`);
    return this.#request(step.value);
  }

  /** Once: a handler, or an interceptor that calls it again, would take what is left for all there is. */
  #requests(raw: AsyncIterable<unknown>): AsyncIterable<unknown> {
    const source = this.endpoint.definition.request === undefined ? raw : this.#parsed(raw);
    return {
      [Symbol.asyncIterator]: () =>
        iterateOnce(source, () =>
          errors.streamConsumed(this.#service, `${this.endpoint.name}: the requests of a stream can be iterated once`),
        ),
    };
  }

  async *#parsed(raw: AsyncIterable<unknown>): AsyncGenerator<unknown, void, undefined> {
    for await (const message of raw) yield await this.#request(message);
  }
}

/** What a handler behind interceptors answered at once, and the promise that they see of it: it need not be waited for when they hand it on. */
let promised: Promise<unknown> | undefined;
let value: unknown;
/** Somebody asks for it. */
let asked = false;
/** One that has its value already, and goes to the caller. */
let ready: unknown;

/** The promise that {@link Dispatch.beginWithin} has just given, when there is nothing to wait for; asked once. */
export function taken(): unknown {
  const one = ready;
  ready = undefined;
  return one;
}

/** The innermost of the chain: the handler. What it throws is a rejection. */
function answer(handler: RoutedEndpoint["handler"], call: ServerCall): Promise<unknown> {
  let result: unknown;
  try {
    result = later(handler(call.request as never, call.ctx));
  } catch (error) {
    return Promise.reject(error);
  }
  if (result instanceof Promise) return result;
  const promise = Promise.resolve(result);
  if (asked) {
    value = result;
    promised = promise;
  }
  return promise;
}

/** The result, as a promise if it comes later: a promise, or any thenable (query builders are). */
function later(result: unknown): unknown {
  if (result instanceof Promise) return result;
  return typeof result === "object" && result !== null && "then" in result && typeof result.then === "function"
    ? Promise.resolve(result)
    : result;
}

/** Ends a handler's generator that is not wanted any more. */
async function leave(iterator: AsyncIterator<unknown>, ctx: CallContext): Promise<void> {
  try {
    await runAmbient(ctx, () => iterator.return?.());
  } catch {
    // Nobody is left to hear of it.
  } finally {
    ctx.finish();
  }
}

/**
 * What a handler threw, as it goes to the caller: its own MicroError, anything else INTERNAL with the service as id. Never refused: that
 * would say that the handler has not run, while what was refused is a call of its own.
 */
export function contained(error: unknown, service: string): MicroError {
  // The router's own words go as Go's do: plain text, without an id.
  if (isMicroError(error) && error.layer === "router") return error;
  if (isMicroError(error) && error.layer === "remote" && (error.id === "" || saysMissing(error))) {
    // Words without a name, of a callee's: with the message it is told whose they are.
    return new MicroError({ id: service, code: error.code, detail: error.message, cause: error });
  }
  const failure = fromUnknown(undeclared(error) ?? error, service);
  if (!failure.refused) return failure;
  const { id, code, status, detail } = failure;
  return new MicroError({ id, code, status, detail, cause: failure });
}

/** What a handler did that nobody has thrown: its layer tells it from what was thrown on purpose, which is not logged. */
function fault(service: string, detail: string): MicroError {
  return Object.assign(errors.internal(service, detail), { layer: "handler" });
}

/** Nothing tells at run time that a plain method wants a stream of requests: it is unary, and its loop fails. */
function undeclared(error: unknown): Error | undefined {
  if (!(error instanceof TypeError) || !error.message.endsWith(" is not async iterable")) return undefined;
  const advice = 'a handler that receives a stream says so: endpoint({ stream: "client" }, …) or "bidi"';
  return new TypeError(`${error.message}; ${advice}`, { cause: error });
}
