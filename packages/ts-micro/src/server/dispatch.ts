import { CallContext, type Cancellation, type Context, type Kind } from "../context.ts";
import { MicroError, errors, fromUnknown } from "../errors.ts";
import { runAmbient } from "../internal/ambient.ts";
import { isAsyncIterable } from "../internal/async-iterable.ts";
import type { HandlerInterceptor, RoutedEndpoint, ServerCall } from "../server.ts";
import { parse } from "./validate.ts";

type Run = (call: ServerCall) => Promise<unknown>;

/** An endpoint ready to be called: schemas, interceptors and handler in one function, built once. */
export class Dispatch {
  readonly endpoint: RoutedEndpoint;
  readonly kind: Kind;
  readonly #service: string;
  readonly #direct: boolean;
  readonly #run: Run;

  constructor(service: string, endpoint: RoutedEndpoint, interceptors: readonly HandlerInterceptor[]) {
    this.endpoint = endpoint;
    this.kind = endpoint.kind;
    this.#service = service;
    this.#direct = interceptors.length === 0;
    this.#run = interceptors.reduceRight<Run>(
      (next, interceptor) => async (call) => interceptor(call, next),
      async (call) => this.#handle(call.request, call.ctx),
    );
  }

  /** The reply to one request, parsed and checked. Throws and rejects with anything; the caller contains it. */
  unary(raw: unknown, ctx: CallContext): unknown {
    const request = this.#request(raw);
    if (request instanceof Promise) return request.then((parsed) => this.#reply(parsed, ctx));
    return this.#reply(request, ctx);
  }

  /** The replies to a stream of raw requests. `return` ends the handler's generator. */
  async *stream(
    raw: AsyncIterable<unknown>,
    ctx: CallContext,
    cancellation: Cancellation,
  ): AsyncGenerator<unknown, void, undefined> {
    const receives = this.kind === "client" || this.kind === "bidi";
    const request = receives ? this.#requests(raw) : await this.#first(raw);
    const result = await runAmbient(ctx, () =>
      this.#direct ? this.#handle(request, ctx) : this.#run({ ctx, kind: this.kind, request }),
    );
    if (this.kind === "client") {
      yield await this.#response(result);
      return;
    }
    if (!isAsyncIterable(result))
      throw errors.internal(this.#service, `${this.endpoint.name} is a stream, its handler returned no AsyncIterable`);
    const iterator = result[Symbol.asyncIterator]();
    const over = new Promise<IteratorResult<unknown>>((_, reject) => cancellation.onCancel(reject));
    over.catch(() => {});
    let finished = false;
    try {
      for (;;) {
        // A generator's body sees the context of whoever calls `next`: each one runs under the call's own.
        const step = await Promise.race([runAmbient(ctx, () => iterator.next()), over]);
        if (step.done) break;
        yield await this.#response(step.value);
      }
      finished = true;
    } finally {
      // Not awaited: a generator that waits for something would hold up the end of the stream.
      if (!finished) Promise.resolve(runAmbient(ctx, () => iterator.return?.())).catch(() => {});
    }
  }

  #reply(request: unknown, ctx: CallContext): unknown {
    const result = runAmbient(ctx, () =>
      this.#direct ? this.#handle(request, ctx) : this.#run({ ctx, kind: this.kind, request }),
    );
    if (result instanceof Promise) return result.then((value) => this.#checked(value));
    return this.#checked(result);
  }

  #handle(request: unknown, ctx: Context): unknown {
    return this.endpoint.handler(request as never, ctx);
  }

  #checked(value: unknown): unknown {
    if (isAsyncIterable(value)) {
      throw errors.internal(
        this.#service,
        `${this.endpoint.name} returned a stream: make it an async generator method, or declare it with endpoint({ stream: "server" }, …)`,
      );
    }
    return this.#response(value);
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
          errors.internal(
            this.#service,
            `${this.endpoint.name}: the handler's reply does not fit its schema: ${detail}`,
          ),
        );
  }

  async #first(raw: AsyncIterable<unknown>): Promise<unknown> {
    const step = await raw[Symbol.asyncIterator]().next();
    if (step.done) throw errors.badRequest(this.#service, `${this.endpoint.name}: no request was sent`);
    return this.#request(step.value);
  }

  async *#requests(raw: AsyncIterable<unknown>): AsyncGenerator<unknown, void, undefined> {
    for await (const message of raw) yield await this.#request(message);
  }
}

/** What a handler threw, as it goes to the caller: its own MicroError, anything else INTERNAL with the service as id. */
export function contained(error: unknown, service: string): MicroError {
  return fromUnknown(error, service);
}
