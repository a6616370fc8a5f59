import type { CallOptions, Cancellation } from "../context.ts";
import type { MicroError } from "../errors.ts";
import { fromUnknown } from "../errors.ts";
import { decodeBody, encodeBody } from "../internal/bodies.ts";
import { hold, release } from "../internal/hold.ts";
import { settledBy } from "../internal/settled-by.ts";
import { tickTime } from "../internal/tick.ts";
import type { Taken } from "../metadata.ts";
import type { Body, OutgoingCall, Peer, Reply, Route } from "../protocol.ts";
import type { Node } from "../registry.ts";
import { attemptLimit, isElsewhere, ofCall, reportFailure, retryable, timely, tried } from "./attempts.ts";
import { boundsOf, dueBy, preparedOf, type CallBounds } from "./bounds.ts";
import { undecodable } from "./decode.ts";
import type { ClientEngine } from "./engine.ts";
import type { Candidates } from "./nodes.ts";
import { tooLate, type PreparedCall } from "./prepared.ts";
import type { Target, TypedRoute } from "./target.ts";

/**
 * The first attempt of a unary call that nothing stands around: one object and one promise from the caller to the wire and back. What
 * fails and may be tried again goes on as other calls do.
 */
export class QuickCall implements OutgoingCall {
  // Declared alone, in a class that extends none: what a class defines, or one above it sets, costs a step each for every call.
  declare readonly target: Target;
  declare readonly typed: TypedRoute;
  declare readonly request: unknown;
  declare readonly options: CallOptions | undefined;
  declare readonly bounds: CallBounds | undefined;
  declare readonly deadline: number;
  declare readonly due: number;
  declare unlink: (() => void) | undefined;
  declare resolve: (value: unknown) => void;
  declare reject: (error: unknown) => void;
  declare private readonly engine: ClientEngine;
  declare private readonly began: number;
  declare private candidates: Candidates;
  declare private node: Node;
  /** The protocol has still to say how it ended, has said it, others go on with it, its caller knows. */
  declare private state: "open" | "ended" | "again" | "settled";

  constructor(
    engine: ClientEngine,
    target: Target,
    typed: TypedRoute,
    request: unknown,
    options: CallOptions | undefined,
    made?: PreparedCall,
  ) {
    const of = engine.options;
    const began = tickTime(of.clock);
    const limit = attemptLimit(options, of.attemptTimeout);
    const bounds = boundsOf(of, target, request, options, began, made);
    const deadline = bounds === undefined ? dueBy(of.clock, began, of.requestTimeout) : bounds.deadline;
    this.engine = engine;
    this.target = target;
    this.typed = typed;
    this.request = request;
    this.options = options;
    this.began = began;
    this.bounds = bounds;
    this.deadline = deadline;
    this.unlink = undefined;
    this.state = "open";
    this.due = this.idempotent ? Math.min(deadline, began + limit) : deadline;
  }

  get sent(): Taken | undefined {
    return this.bounds?.sent;
  }

  get cancellation(): Cancellation | undefined {
    return this.bounds?.given;
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
    const promise = settledBy(this);
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
      if (this.cancellation?.reason !== undefined)
        this.#unsent(ofCall(this.cancellation.reason, this.target, undefined));
      else if (this.due <= this.began) this.#unsent(tooLate(preparedOf(this, this.engine.options)));
      else (peer.direct as NonNullable<Peer["direct"]>)(this);
    } catch (error) {
      this.#broken(fromUnknown(error));
    }
    return promise;
  }

  body(): Body {
    return encodeBody(this.typed.codec, this.target.request, this.request);
  }

  replied(bytes: Buffer, from: number, to: number): void {
    if (this.state !== "open") return;
    this.state = "ended";
    const { selector, clock } = this.engine.options;
    selector.ended(this.target.service, this.node, tickTime(clock) - this.began);
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
    if (this.state !== "open") return;
    const { options, cancellation, node } = this;
    const { selector, clock } = this.engine.options;
    const now = tickTime(clock);
    const heard = timely(reason, node, now, this.due, this.deadline);
    const failure = ofCall(heard, this.target, reason === cancellation?.reason ? undefined : node);
    this.state = "ended";
    const ms = now - this.began;
    reportFailure(selector, this.target.service, node, ms, failure, cancellation);
    tried(failure, 1);
    const most = options?.retries ?? this.engine.options.retries;
    const again = retryable(failure, this.idempotent) || isElsewhere(failure, this.target.endpoint, this.candidates);
    if (most < 1 || !again || cancellation?.reason !== undefined) return this.#give(failure);
    this.state = "again";
    this.engine
      .again(preparedOf(this, this.engine.options), { failure, node: this.node, candidates: this.candidates })
      .then(
        (value) => {
          this.#settled();
          this.resolve(value);
        },
        (error: unknown) => this.#give(error),
      );
  }

  rerouted(peer: Peer): void {
    if (peer.direct !== undefined) {
      try {
        peer.direct(this);
      } catch (error) {
        this.#broken(fromUnknown(error));
      }
      return;
    }
    const { codec, route } = this.typed;
    const call = preparedOf(this, this.engine.options);
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

  /** The protocol has thrown, beside what it says of the call or instead. */
  #broken(error: MicroError): void {
    this.unlink?.();
    if (this.state === "open") this.failed(error);
    else if (this.state === "ended") this.#give(error);
  }

  /** Over before anything of it was sent. */
  #unsent(error: MicroError): void {
    this.state = "ended";
    this.engine.options.selector.ended(this.target.service, this.node, 0, undefined, "nothing");
    this.#give(error);
  }

  #settled(): void {
    this.state = "settled";
    release();
    this.bounds?.unlink?.();
  }

  #give(error: unknown): void {
    this.#settled();
    this.reject(error);
  }
}
