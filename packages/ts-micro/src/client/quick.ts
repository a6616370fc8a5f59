import type { CallOptions, Cancellation } from "../context.ts";
import { parentOf, timeoutOf } from "../context.ts";
import type { MicroError } from "../errors.ts";
import { fromUnknown } from "../errors.ts";
import { ambientContext } from "../internal/ambient.ts";
import { decodeBody, encodeBody } from "../internal/bodies.ts";
import { hold, release } from "../internal/hold.ts";
import { tickTime } from "../internal/tick.ts";
import { fitToSend, Metadata, type Taken } from "../metadata.ts";
import type { Body, OutgoingCall, Peer, Reply, Route } from "../protocol.ts";
import type { Node } from "../registry.ts";
import { blames, isElsewhere, ofCall, retryable } from "./attempts.ts";
import { undecodable } from "./decode.ts";
import type { ClientEngine } from "./engine.ts";
import type { Candidates } from "./nodes.ts";
import { prepare, type PreparedCall } from "./prepared.ts";
import type { Target, TypedRoute } from "./target.ts";

/** Limits below it, in milliseconds, count from the true time. */
const exact = 5000;
const none: CallOptions = {};

let resolving: ((value: unknown) => void) | undefined;
let rejecting: ((error: unknown) => void) | undefined;
/** One for all promises: V8 makes and looks up each executor anew otherwise. */
const executor = (resolve: (value: unknown) => void, reject: (error: unknown) => void): void => {
  resolving = resolve;
  rejecting = reject;
};

/** What bounds a call and goes with it: made once, from its options and the calling context. */
export abstract class Bounded {
  // Set by the constructor alone: fields that a class defines cost a step each, and there is one of these for every call.
  declare readonly target: Target;
  declare readonly options: CallOptions | undefined;
  declare readonly deadline: number;
  declare readonly sent: Taken | undefined;
  /** Of the calling context and the caller's signal. */
  declare protected readonly given: Cancellation | undefined;
  declare protected readonly engine: ClientEngine;
  declare protected readonly request: unknown;
  declare protected readonly limit: number;
  declare protected readonly inherited: boolean;
  declare protected readonly unlinkCaller: (() => void) | undefined;
  declare protected readonly began: number;
  /** Set while somebody waits. */
  declare protected resolve: ((value: unknown) => void) | undefined;
  declare protected reject: ((error: unknown) => void) | undefined;

  /** `made`: resolved already, by somebody who will also unlink it. */
  constructor(
    engine: ClientEngine,
    target: Target,
    request: unknown,
    options: CallOptions | undefined,
    made?: PreparedCall,
  ) {
    const { clock, requestTimeout } = engine.options;
    this.engine = engine;
    this.target = target;
    this.request = request;
    this.options = options;
    this.began = tickTime(clock);
    this.resolve = undefined;
    this.reject = undefined;
    if (made !== undefined) {
      this.limit = made.limit;
      this.deadline = made.deadline;
      this.inherited = made.inherited;
      this.sent = made.metadata.pristine ?? made.metadata;
      this.given = made.cancellation;
      this.unlinkCaller = undefined;
      return;
    }
    const parent = parentOf(options) ?? ambientContext();
    if (parent === undefined && options?.signal === undefined) {
      this.limit = options === undefined ? requestTimeout : timeoutOf(options, requestTimeout);
      // The time of the turn may be as old as the turn is long, which a short limit would feel.
      this.deadline = (this.limit < exact ? clock.now() : this.began) + this.limit;
      this.inherited = false;
      this.sent = options === undefined ? undefined : fitToSend(options.metadata);
      this.given = undefined;
      this.unlinkCaller = undefined;
    } else {
      const { service, endpoint, known } = target;
      const { call, unlink } = prepare(clock, requestTimeout, {
        service,
        endpoint,
        kind: "unary",
        request,
        options,
        known,
      });
      this.limit = call.limit;
      this.deadline = call.deadline;
      this.inherited = call.inherited;
      this.sent = call.metadata.pristine ?? call.metadata;
      this.given = call.cancellation;
      this.unlinkCaller = unlink;
    }
  }

  /** What its caller waits for, and `resolve` and `reject` settle. */
  protected promise(): Promise<unknown> {
    const promise = new Promise(executor);
    this.resolve = resolving;
    this.reject = rejecting;
    resolving = rejecting = undefined;
    return promise;
  }

  /** As the rest of the engine knows calls. */
  protected prepared(): PreparedCall {
    const { service, endpoint, known } = this.target;
    return {
      service,
      endpoint,
      kind: "unary",
      request: this.request,
      metadata: Metadata.from(this.sent),
      deadline: this.deadline,
      options: this.options ?? none,
      by: this.options ?? none,
      cancellation: this.given,
      known,
      limit: this.limit,
      inherited: this.inherited,
    };
  }
}

/**
 * The first attempt of a unary call that nothing stands around: one object and one promise from the caller to the wire and back. What
 * fails and may be tried again goes on as other calls do.
 */
export class QuickCall extends Bounded implements OutgoingCall {
  declare readonly typed: TypedRoute;
  declare readonly due: number;
  declare unlink: (() => void) | undefined;
  declare private candidates: Candidates;
  declare private node: Node;
  declare protected resolve: (value: unknown) => void;
  declare protected reject: (error: unknown) => void;

  constructor(
    engine: ClientEngine,
    target: Target,
    typed: TypedRoute,
    request: unknown,
    options: CallOptions | undefined,
    made?: PreparedCall,
  ) {
    super(engine, target, request, options, made);
    this.typed = typed;
    this.unlink = undefined;
    this.due = this.idempotent ? Math.min(this.deadline, this.began + engine.options.attemptTimeout) : this.deadline;
  }

  get cancellation(): Cancellation | undefined {
    return this.given;
  }

  get route(): Route {
    return this.typed.route;
  }

  get oneway(): boolean {
    return this.options?.oneway === true;
  }

  get idempotent(): boolean {
    return this.options?.idempotent ?? this.target.known?.idempotent ?? this.target.facts?.idempotent ?? false;
  }

  /** Sends it to `node`. */
  start(peer: Peer, node: Node, candidates: Candidates): Promise<unknown> {
    const promise = this.promise();
    this.node = node;
    this.candidates = candidates;
    hold();
    try {
      this.engine.options.selector.started(this.target.service, node);
    } catch (error) {
      this.#give(error);
      return promise;
    }
    try {
      if (this.cancellation?.reason !== undefined) this.failed(this.cancellation.reason);
      else if (this.due <= this.began) this.#late();
      else (peer.direct as NonNullable<Peer["direct"]>)(this);
    } catch (error) {
      // A protocol that throws beside what it says of the call.
      this.reject(fromUnknown(error));
    }
    return promise;
  }

  body(): Body {
    return encodeBody(this.typed.codec, this.target.request, this.request);
  }

  replied(bytes: Buffer, from: number, to: number): void {
    this.#ended(undefined);
    const { codec } = this.typed;
    let value: unknown;
    if (!this.oneway) {
      try {
        value = decodeBody(codec, this.target.response, bytes, from, to);
      } catch (error) {
        this.#settled();
        return this.reject(undecodable(error, this.target));
      }
    }
    this.#settled();
    this.resolve(value);
  }

  failed(reason: MicroError): void {
    const failure = ofCall(reason, this.target, this.node);
    this.#ended(blames(failure) ? failure : undefined);
    const { options } = this;
    failure.attempts = 1;
    const most = options?.retries ?? this.engine.options.retries;
    const again = retryable(failure, this.idempotent) || isElsewhere(failure, this.target.endpoint, this.candidates);
    if (most < 1 || !again || this.cancellation?.reason !== undefined) return this.#give(failure);
    this.engine.again(this.prepared(), { failure, node: this.node, candidates: this.candidates }).then(
      (value) => {
        this.#settled();
        this.resolve(value);
      },
      (error: unknown) => this.#give(error),
    );
  }

  rerouted(peer: Peer): void {
    if (peer.direct !== undefined) return peer.direct(this);
    const { codec, route } = this.typed;
    const call = this.prepared();
    let reply: Promise<Reply>;
    try {
      const body = codec.encode(this.request, this.target.request);
      reply = peer.unary(this.engine.head(call, route.contentType, this.due), body, this.cancellation);
    } catch (error) {
      return this.failed(fromUnknown(error));
    }
    reply.then(
      ({ body }) => this.replied(Buffer.from(body.buffer, body.byteOffset, body.length), 0, body.length),
      (error: unknown) => this.failed(fromUnknown(error)),
    );
  }

  #late(): void {
    this.#ended(undefined);
    this.#give(this.engine.tooLate(this.prepared()));
  }

  #ended(failure: MicroError | undefined): void {
    const { selector, clock } = this.engine.options;
    selector.ended(this.target.service, this.node, tickTime(clock) - this.began, failure);
  }

  #settled(): void {
    release();
    if (this.unlinkCaller !== undefined) this.unlinkCaller();
  }

  #give(error: unknown): void {
    this.#settled();
    this.reject(error);
  }
}
