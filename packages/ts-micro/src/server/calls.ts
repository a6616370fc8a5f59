import { Codecs, type Codec, type Envelope, type MessageDescriptor } from "../codec.ts";
import type { Clock } from "../clock.ts";
import { CallContext, type Kind, type Log } from "../context.ts";
import { MicroError, errors, fromUnknown, isMicroError } from "../errors.ts";
import { thrown } from "../internal/logged.ts";
import { Metadata } from "../metadata.ts";
import type {
  Body,
  CallHandler,
  CallTarget,
  IncomingCall,
  IncomingMessage,
  RawStream,
  Reply,
  Route,
  ServedCall,
} from "../protocol.ts";
import type { RoutedEndpoint } from "../server.ts";
import { encodeError } from "../wire/error.ts";
import { H } from "../wire/headers.ts";
import { Target, UnderWay, type Outcome } from "./direct.ts";
import { contained, type Dispatch } from "./dispatch.ts";
import { Requests } from "./requests.ts";
import type { Routes } from "./routes.ts";
import { Running, stopping } from "./running.ts";

const nothing = new Uint8Array();

/** What the calls of a server share. */
export interface CallsOptions {
  readonly service: string;
  readonly routes: Routes;
  readonly codecs: Codecs;
  readonly running: Running;
  readonly log: Log;
  readonly clock: Clock;
  readonly maxInFlight: number;
  deliver(message: IncomingMessage): Promise<MicroError | undefined>;
}

/** Where every protocol brings its calls: decode, dispatch, encode, contain. Nothing here throws or rejects. */
export class Calls implements CallHandler, Outcome<ServedCall, Target> {
  readonly #options: CallsOptions;
  /** Callers that understand a refusal are sent elsewhere. */
  refusing = false;
  requests = 0;
  failures = 0;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  get service(): string {
    return this.#options.service;
  }

  kindOf(endpoint: string): Kind | undefined {
    return this.#options.routes.get(endpoint)?.kind;
  }

  noSideEffects(endpoint: string): boolean {
    return this.#options.routes.get(endpoint)?.endpoint.definition.noSideEffects === true;
  }

  endpoints(): readonly RoutedEndpoint[] {
    return this.#options.routes.all();
  }

  supports(contentType: string): boolean {
    return this.#options.codecs.get(contentType) !== undefined;
  }

  async unary(call: IncomingCall, body: Uint8Array): Promise<Reply> {
    const { service, codecs } = this.#options;
    const codec = codecs.get(call.head.contentType);
    if (codec === undefined)
      return {
        body: nothing,
        error: errors.unsupported(service, `unsupported Content-Type: ${call.head.contentType}`),
      };
    const envelope: Envelope | undefined = codec.enveloped
      ? { type: "request", id: call.head.id, endpoint: call.head.endpoint }
      : undefined;
    const refusal = this.admit(call.retries);
    if (refusal !== undefined) return this.#failed(refusal, call, codec, envelope);
    try {
      const value = await this.#dispatch(call, codec, body, envelope);
      return { body: value };
    } catch (error) {
      return this.#failed(contained(error, service), call, codec, envelope);
    }
  }

  target(route: Route): CallTarget {
    const { routes, codecs } = this.#options;
    return new Target(route, routes.get(route.endpoint), codecs.get(route.contentType));
  }

  direct(call: ServedCall, target: Target, bytes: Buffer, from: number, to: number): void {
    const { service, running } = this.#options;
    const { dispatch, codec } = target;
    if (dispatch?.kind !== "unary" || codec === undefined || codec.enveloped === true)
      return this.#otherwise(call, target, bytes.subarray(from, to));
    const refusal = this.admit(call.retries);
    if (refusal !== undefined) return this.#turnedAway(call, refusal);
    let ctx: CallContext | undefined;
    let result: unknown;
    try {
      const request = target.decode(bytes, from, to);
      ctx = new CallContext(call, this.#options);
      result = dispatch.begin(request, ctx, dispatch.scope);
    } catch (error) {
      ctx?.finish();
      return this.failed(call, error);
    }
    if (result instanceof Promise) new UnderWay(this, running, call, target, service).follow(result, ctx);
    else {
      ctx.finish();
      this.done(call, target, result);
    }
  }

  /** The handler's value goes out. */
  done(call: ServedCall, target: Target, value: unknown): void {
    try {
      this.#answer(call, target, (target.dispatch as Dispatch).checked(value));
    } catch (error) {
      this.failed(call, error);
    }
  }

  failed(call: ServedCall, error: unknown): void {
    const failure = contained(error, this.#options.service);
    this.count(failure, call.endpoint, error);
    call.fail(failure);
  }

  #answer(call: ServedCall, target: Target, value: unknown): void {
    let body: Body;
    try {
      body = target.encode(replyOf(value, target.codec as Codec, target.response));
    } catch (error) {
      return this.failed(call, this.#unencodable(call.endpoint, error));
    }
    call.reply(body);
  }

  #turnedAway(call: ServedCall, refusal: MicroError): void {
    this.count(refusal, call.endpoint, undefined);
    call.fail(refusal);
  }

  /** No such endpoint, no such codec, a stream, or bodies in envelopes. */
  #otherwise(call: ServedCall, { route }: Target, body: Uint8Array): void {
    const { endpoint, contentType } = route;
    const { service, deadline, metadata, cancellation, local, remote, response, retries } = call;
    const head = { service, endpoint, contentType, kind: "unary" as const, deadline, metadata, id: "" };
    call.watch({ cancelled: (reason) => cancellation.cancel(reason) });
    const outlives = (goesOn: boolean): void => call.outlives?.(goesOn);
    this.unary({ head, local, remote, cancellation, response, retries, outlives }, body).then(
      (reply) => (reply.error === undefined ? call.reply(reply.body) : call.fail(reply.error)),
      (error: unknown) => this.failed(call, error),
    );
  }

  async stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined> {
    const { service, codecs, running } = this.#options;
    const { head, cancellation } = call;
    const refusal = this.admit(call.retries);
    if (refusal !== undefined) {
      this.count(refusal, head.endpoint, undefined);
      return refusal;
    }
    try {
      const codec = codecs.get(head.contentType);
      if (codec === undefined) throw errors.unsupported(service, `unsupported Content-Type: ${head.contentType}`);
      const dispatch = this.#route(head.endpoint);
      const target = new Target(head, dispatch, codec);
      const requests = new Requests(target, head.id);
      const ctx = this.#context(call, head.endpoint);
      const send = (value: unknown): Promise<void> | undefined => this.#send(stream, target, value, head.id);
      requests.attach(stream);
      const work = (): Promise<void> => dispatch.stream(requests, ctx, cancellation, send);
      await running.run(head.endpoint, head.deadline, cancellation, work, call.outlives);
      return undefined;
    } catch (error) {
      const failure = contained(error, service);
      this.count(failure, head.endpoint, error);
      return failure;
    }
  }

  message(message: IncomingMessage): Promise<MicroError | undefined> {
    return this.#options.deliver(message);
  }

  async #dispatch(
    call: IncomingCall,
    codec: Codec,
    body: Uint8Array,
    envelope: Envelope | undefined,
  ): Promise<Uint8Array> {
    const { head, cancellation } = call;
    const { running } = this.#options;
    const name = head.endpoint === "" ? endpointIn(body, codec, envelope) : head.endpoint;
    const dispatch = this.#route(name);
    const { descriptors } = dispatch.endpoint;
    if (dispatch.kind !== "unary")
      throw errors.methodNotAllowed(this.#options.service, `${name} is a stream: open it as one`);
    const request = codec.decode(body, descriptors?.request, envelope);
    const ctx = this.#context(call, name);
    const value = await running.run(
      name,
      head.deadline,
      cancellation,
      () => dispatch.unary(request, ctx),
      call.outlives,
    );
    const reply: Envelope | undefined =
      envelope === undefined ? undefined : { type: "response", id: envelope.id, endpoint: name };
    return this.#encode(
      name,
      codec,
      replyOf(value, codec, descriptors?.response, envelope),
      descriptors?.response,
      reply,
    );
  }

  #send(stream: RawStream, target: Target, value: unknown, id: string): Promise<void> | undefined {
    const { endpoint } = target.route;
    if (stream.post === undefined || target.enveloped) {
      const envelope: Envelope | undefined = target.enveloped ? { type: "response", id, endpoint } : undefined;
      return stream.send(this.#encode(endpoint, target.codec as Codec, value, target.response, envelope));
    }
    let body: Body;
    try {
      body = target.encode(value);
    } catch (error) {
      throw this.#unencodable(endpoint, error);
    }
    return stream.post(body);
  }

  #encode(
    name: string,
    codec: Codec,
    value: unknown,
    descriptor: MessageDescriptor | undefined,
    envelope: Envelope | undefined,
  ): Uint8Array {
    try {
      return codec.encode(value, descriptor, envelope);
    } catch (error) {
      throw this.#unencodable(name, error);
    }
  }

  #unencodable(name: string, error: unknown): MicroError {
    const detail = `${name}: the reply cannot be encoded: ${fromUnknown(error).detail}`;
    this.#options.log.error(detail, { endpoint: name, ...thrown(error) });
    return errors.internal(this.#options.service, detail, error);
  }

  #route(name: string): Dispatch {
    const dispatch = this.#options.routes.get(name);
    if (dispatch === undefined) throw this.#options.routes.missing(name);
    return dispatch;
  }

  /** Counts a call; the value is why it may not run. `retries`: its caller goes elsewhere when it is refused. */
  admit(retries: boolean): MicroError | undefined {
    const { running, maxInFlight } = this.#options;
    this.requests++;
    // A handler that goes on is work, whether anybody waits for it or not: who calls and cancels without end gets no more of it.
    const room = running.size + running.abandoned < maxInFlight;
    return room && !running.closed && !(this.refusing && retries) ? undefined : this.#refusal(retries);
  }

  /** Apart from what every call goes through, which V8 takes into its callers when it is short. */
  #refusal(retries: boolean): MicroError {
    const { running, service, maxInFlight } = this.#options;
    if ((this.refusing && retries) || running.closed)
      return new MicroError({ ...stopping(service).toJSON(), refused: true });
    const left = running.abandoned === 0 ? "" : `, ${running.abandoned} of them given up by their callers`;
    const detail = `${maxInFlight} calls are under way${left}, which is the limit`;
    return new MicroError({ id: service, code: "RESOURCE_EXHAUSTED", detail, refused: true });
  }

  #context(call: IncomingCall, endpoint: string): CallContext {
    const metadata = call.head.metadata ?? new Metadata();
    if (call.local !== "") metadata.set(H.local, call.local);
    if (call.remote !== "") metadata.set(H.remote, call.remote);
    const { local, remote, cancellation, response } = call;
    const source = { metadata, deadline: call.head.deadline, endpoint, local, remote, cancellation, response };
    return new CallContext(source, this.#options);
  }

  #failed(error: MicroError, call: IncomingCall, codec: Codec, envelope: Envelope | undefined): Reply {
    this.count(error, call.head.endpoint, error.cause);
    if (envelope === undefined) return { body: nothing, error };
    return {
      body: codec.encode(undefined, undefined, {
        type: "error",
        id: "",
        endpoint: envelope.endpoint,
        error: encodeError(error),
      }),
      error,
    };
  }

  /** Counts a failure, and logs it when nobody threw it on purpose. */
  count(error: MicroError, endpoint: string, cause: unknown): void {
    this.failures++;
    // A MicroError was thrown on purpose, or is the caller's doing; anything else is a fault to look at.
    if (error.code !== "INTERNAL" || (isMicroError(cause) && cause.layer !== "handler")) return;
    this.#options.log.error(`handler ${endpoint} failed: ${error.detail}`, { endpoint, ...thrown(cause) });
  }
}

/** A handler that returns nothing answers with an empty message, null only where there is one: Go takes no null in an envelope. */
function replyOf(value: unknown, codec: Codec, descriptor?: MessageDescriptor, envelope?: Envelope): unknown {
  return value === undefined || (value === null && (descriptor ?? envelope) !== undefined)
    ? (codec.empty ?? {})
    : value;
}

/** Pre-header clients name the endpoint in the body alone. Its message may need a descriptor that nobody knows before. */
function endpointIn(body: Uint8Array, codec: Codec, envelope: Envelope | undefined): string {
  if (envelope === undefined) return "";
  try {
    codec.decode(body, undefined, envelope);
  } catch (error) {
    if (envelope.endpoint === "") throw error;
  }
  return envelope.endpoint;
}
