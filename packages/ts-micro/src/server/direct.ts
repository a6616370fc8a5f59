import type { Codec, MessageDescriptor } from "../codec.ts";
import type { CallContext, Cancellation, Kind } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import { decodeBody, encodeBody } from "../internal/bodies.ts";
import type { Body, CallTarget, Route } from "../protocol.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Running, RunningEntry } from "./running.ts";

/** A route with everything that its calls need, looked up once. */
export class Target implements CallTarget {
  readonly kind: Kind | undefined;
  readonly enveloped: boolean;
  readonly route: Route;
  readonly dispatch: Dispatch | undefined;
  readonly codec: Codec | undefined;
  readonly request: MessageDescriptor | undefined;
  readonly response: MessageDescriptor | undefined;

  constructor(route: Route, dispatch: Dispatch | undefined, codec: Codec | undefined) {
    this.route = route;
    this.kind = dispatch?.kind;
    this.enveloped = codec?.enveloped === true;
    this.dispatch = dispatch;
    this.codec = codec;
    this.request = dispatch?.endpoint.descriptors?.request;
    this.response = dispatch?.endpoint.descriptors?.response;
  }

  decode(bytes: Buffer, from: number, to: number): unknown {
    return decodeBody(this.codec as Codec, this.request, bytes, from, to);
  }

  encode(value: unknown): Body {
    return encodeBody(this.codec as Codec, this.response, value);
  }
}

/** What a call under way needs of its call. */
interface Watched {
  readonly deadline: number;
  readonly endpoint: string;
  readonly cancellation: Cancellation;
  watch(watcher: { cancelled(reason: MicroError): void }): void;
  outlives?(goesOn: boolean): void;
}

/** Who is told how a call ended. */
export interface Outcome<C, T> {
  done(call: C, target: T, value: unknown): void;
  failed(call: C, error: unknown): void;
}

/** A call whose handler goes on: settled once, by the handler, its deadline or its caller. */
export class UnderWay<C extends Watched, T> implements RunningEntry {
  // As in every object that is made for each call: set by the constructor alone.
  declare readonly deadline: number;
  declare previous: RunningEntry | undefined;
  declare next: RunningEntry | undefined;
  declare private readonly outcome: Outcome<C, T>;
  declare private readonly running: Running;
  declare private readonly call: C;
  declare private readonly target: T;
  declare private readonly service: string;
  declare private open: boolean;

  constructor(outcome: Outcome<C, T>, running: Running, call: C, target: T, service: string) {
    this.deadline = call.deadline;
    this.outcome = outcome;
    this.running = running;
    this.call = call;
    this.target = target;
    this.service = service;
    this.previous = undefined;
    this.next = undefined;
    this.open = true;
  }

  follow(result: Promise<unknown>, ctx: CallContext): void {
    this.running.enter(this);
    this.call.watch(this);
    result.then(
      (value) => {
        ctx.finish();
        if (this.#settle()) this.outcome.done(this.call, this.target, value);
        else this.#outlives(false);
      },
      (error: unknown) => {
        ctx.finish();
        if (this.#settle()) this.outcome.failed(this.call, error);
        else this.#outlives(false);
      },
    );
  }

  /** The call is settled, the handler goes on, or has settled as well. */
  #outlives(goesOn: boolean): void {
    this.running.abandoned += goesOn ? 1 : -1;
    this.call.outlives?.(goesOn);
  }

  expire(): void {
    this.cut(errors.timeout(this.service, `${this.call.endpoint}: the deadline has passed`));
  }

  cut(reason: MicroError): void {
    if (!this.open) return;
    this.cancelled(reason);
    this.call.cancellation.cancel(reason);
  }

  cancelled(reason: MicroError): void {
    if (!this.#settle()) return;
    this.#outlives(true);
    this.outcome.failed(this.call, reason);
  }

  #settle(): boolean {
    if (!this.open) return false;
    this.open = false;
    this.running.leave(this);
    return true;
  }
}
