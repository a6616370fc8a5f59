import type { CallOptions, Kind } from "../context.ts";
import type { Duplex } from "../endpoint.ts";
import { errors } from "../errors.ts";
import { isAsyncIterable } from "../internal/async-iterable.ts";
import type { Learnt } from "./engine.ts";
import type { EndpointFacts } from "./nodes.ts";
import { kept } from "./prepared.ts";
import type { ClientShell } from "./shell.ts";
import type { Target } from "./target.ts";

const id = "go.micro.client";

/**
 * A method of a typed client, which knows its types but not, at run time, its kind. Order of knowledge: descriptor or `stream` option, the
 * registry record, an AsyncIterable argument, how the result is used. Known unary: a plain promise, sent at once. Known stream: a lazy
 * Stream without `then`. Unknown: a native promise that also carries an async iterator.
 */
export function invoke(
  client: ClientShell,
  target: Target,
  request: unknown,
  options: CallOptions | undefined,
): unknown {
  const { service, endpoint, known } = target;
  const kind = known?.kind ?? explicit(options) ?? client.kindNow(target);
  switch (kind) {
    case "unary":
      return client.call(target, request, options);
    case "server":
    case "bidi":
      checkSource(kind, endpoint, request);
      return client.stream(kind, service, endpoint, request, options, known);
    case "client":
      checkSource(kind, endpoint, request);
      return only(client.stream(kind, service, endpoint, request, options, known), endpoint);
    default:
      return undecided(client, target, request, options, kind);
  }
}

function explicit(options: CallOptions | undefined): Kind | undefined {
  const stream = options?.stream;
  return stream === true ? "server" : stream === false ? "unary" : stream;
}

/** `known` is `stream` when a Go record says that it streams, but not how. */
function undecided(
  client: ClientShell,
  target: Target,
  request: unknown,
  options: CallOptions | undefined,
  known: "stream" | undefined,
): unknown {
  const { service, endpoint } = target;
  let taken = false;
  /** Used as a stream, and as one that its user sends on. */
  let wanted = false;
  let sends = false;
  let inner: Duplex<unknown, unknown> | undefined;
  let tell!: (stream: Duplex<unknown, unknown>) => void;
  const live = new Promise<Duplex<unknown, unknown>>((resolve) => (tell = resolve));
  const streams = isAsyncIterable(request);
  const promise = (async (): Promise<unknown> => {
    let taken = kept(options);
    const open = (kind: Kind): Duplex<unknown, unknown> => {
      checkSource(kind, endpoint, request);
      return client.stream(kind, service, endpoint, request, taken);
    };
    let kind: EndpointFacts["kind"] | undefined = known;
    let rest = taken;
    if (kind === undefined) {
      const learnt = await learn(taken);
      ({ kind } = learnt);
      // One time limit for both; a stream has none by itself.
      if (learnt.took >= 1) rest = { ...taken, timeout: learnt.left };
      if (taken?.timeout !== undefined) taken = rest;
    }
    // Lets `for await` announce itself even when the record was there already.
    await Promise.resolve();
    if (kind === "unary" || (kind === undefined && !wanted && !streams)) {
      if (wanted) throw errors.badRequest(id, `${endpoint} is not a stream: await it`);
      return client.call(target, request, rest);
    }
    const stream =
      kind === "server" || kind === "bidi" || kind === "client"
        ? kind
        : streams || sends
          ? wanted
            ? "bidi"
            : "client"
          : "server";
    if (stream === "client" && !wanted) return only(open("client"), endpoint);
    inner = open(stream === "client" ? "bidi" : stream);
    tell(inner);
    return inner;
  })();
  const want = (): void => {
    wanted = true;
    promise.catch(ignore); // the reader is told
  };
  const take = (): void => {
    if (taken) throw errors.streamConsumed(id, `${endpoint}: a stream can be iterated once`);
    taken = true;
    want();
  };
  const opened = (): Promise<Duplex<unknown, unknown>> => Promise.race([live, promise.then(asStream)]);
  // Own properties on a native promise keep `await` on the engine's fast path; a subclass or a thenable would not.
  void Object.defineProperties(promise, {
    [Symbol.asyncIterator]: {
      value: (): AsyncIterator<unknown> => {
        take();
        let stream: Promise<Duplex<unknown, unknown>> | undefined;
        let iterator: AsyncIterator<unknown> | undefined;
        let left = false;
        return {
          next: async () => {
            const begun = await (stream ??= opened());
            iterator ??= begun[Symbol.asyncIterator]();
            // Who left before it began opens nothing any more.
            return left ? { done: true, value: undefined } : iterator.next();
          },
          return: async (value?: unknown) => {
            left = true;
            await iterator?.return?.();
            return { done: true, value };
          },
        };
      },
    },
    send: {
      value: async (message: unknown): Promise<void> => {
        sends = true;
        want();
        await (await opened()).send(message);
      },
    },
    end: { value: () => (want(), void opened().then((stream) => stream.end(), ignore)) },
    cancel: {
      value: (reason?: unknown): void => {
        want();
        if (inner === undefined) void opened().then((stream) => stream.cancel(reason), ignore);
        else inner.cancel(reason);
      },
    },
    [Symbol.asyncDispose]: {
      value: async (): Promise<void> => {
        want();
        await opened().then((stream) => stream[Symbol.asyncDispose](), ignore);
      },
    },
    forEach: {
      value: async (each: (message: unknown) => unknown): Promise<void> => {
        take();
        await (await opened()).forEach(each);
      },
    },
  });
  return promise;

  async function learn(taken: CallOptions | undefined): Promise<Learnt> {
    try {
      return await (await client.load()).kindOf(service, endpoint, taken);
    } catch (error) {
      // It may be a stream that nobody has begun to read: then nobody asked, and an unhandled rejection would end the process.
      promise.catch(ignore);
      throw error;
    }
  }

  function asStream(value: unknown): Duplex<unknown, unknown> {
    if (isAsyncIterable(value)) return value as Duplex<unknown, unknown>;
    throw errors.badRequest(id, `${endpoint} answered with one message: await it`);
  }
}

function ignore(): void {}

/** @throws MicroError BAD_REQUEST for what gives no stream of requests; the requests of a bidi stream may be sent later */
function checkSource(kind: Kind, endpoint: string, request: unknown): void {
  if (kind === "server" || isAsyncIterable(request)) return;
  const none = typeof request === "object" && request !== null && Object.keys(request).length === 0;
  if (kind === "bidi" && none && !Array.isArray(request)) return;
  throw errors.badRequest(id, `${endpoint} takes a stream of requests: give it an AsyncIterable`);
}

/** The one reply of a client stream, once it has ended well: what comes behind the reply may say that the call has failed. */
async function only(stream: Duplex<unknown, unknown>, endpoint: string): Promise<unknown> {
  const iterator = stream[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) throw errors.protocol(id, `${endpoint} ended without a reply`);
  await iterator.next();
  await iterator.return?.();
  return first.value;
}
