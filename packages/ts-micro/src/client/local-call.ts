import { Cancellation, type CallOptions } from "../context.ts";
import type { MicroError } from "../errors.ts";
import { hold, release } from "../internal/hold.ts";
import { settledBy } from "../internal/settled-by.ts";
import { tickTime } from "../internal/tick.ts";
import { Metadata } from "../metadata.ts";
import type { LocalEndpoint, LocalRequest } from "../server.ts";
import { boundsOf, dueBy, preparedOf, type CallBounds } from "./bounds.ts";
import type { ClientEngine } from "./engine.ts";
import { tooLate, type PreparedCall } from "./prepared.ts";
import type { Target } from "./target.ts";

/** A unary call within the process: one object and one promise from the caller to the handler and back. */
export class LocalQuick implements LocalRequest {
  // As in QuickCall.
  declare readonly target: Target;
  declare readonly request: unknown;
  declare readonly options: CallOptions | undefined;
  declare readonly bounds: CallBounds | undefined;
  declare readonly deadline: number;
  /** Set while somebody waits. */
  declare resolve: ((value: unknown) => void) | undefined;
  declare reject: ((error: unknown) => void) | undefined;
  declare private readonly engine: ClientEngine;
  declare private readonly began: number;
  declare private seen: Metadata | undefined;
  declare private own: Cancellation | undefined;
  declare private unlink: (() => void) | undefined;
  declare private state: "open" | "answered" | "failed";
  /** A reply that came before anybody waited, or the error. */
  declare private early: unknown;

  constructor(
    engine: ClientEngine,
    target: Target,
    request: unknown,
    options: CallOptions | undefined,
    made?: PreparedCall,
  ) {
    const of = engine.options;
    const began = tickTime(of.clock);
    const bounds = boundsOf(of, target, request, options, began, made);
    this.engine = engine;
    this.target = target;
    this.request = request;
    this.options = options;
    this.began = began;
    this.bounds = bounds;
    this.deadline = bounds === undefined ? dueBy(of.clock, began, of.requestTimeout) : bounds.deadline;
    this.resolve = undefined;
    this.reject = undefined;
    this.seen = undefined;
    this.own = undefined;
    this.unlink = undefined;
    this.state = "open";
    this.early = undefined;
  }

  get local(): string {
    return "";
  }

  get remote(): string {
    return "";
  }

  get endpoint(): string {
    return this.target.endpoint;
  }

  get metadata(): Metadata {
    return (this.seen ??= Metadata.over(this.bounds?.sent));
  }

  /** The handler's own, which its deadline cancels too. */
  get cancellation(): Cancellation {
    if (this.own === undefined) {
      const own = (this.own = new Cancellation());
      const reason = this.bounds?.given?.reason;
      if (reason !== undefined) own.cancel(reason);
    }
    return this.own;
  }

  start(endpoint: LocalEndpoint): Promise<unknown> {
    const oneway = this.options?.oneway === true;
    const reason = this.bounds?.given?.reason;
    if (reason !== undefined) this.failed(reason);
    else if (this.deadline <= this.began) this.failed(tooLate(preparedOf(this, this.engine.options)));
    else {
      endpoint.direct(this, this.request);
      if (oneway && this.state !== "open") return Promise.resolve();
    }
    // A handler that answers at once leaves nothing to wait for.
    if (this.state === "answered") return Promise.resolve(this.early);
    if (this.state === "failed") return Promise.reject(this.early);
    hold();
    const promise = settledBy(this);
    if (oneway) this.resolve?.(undefined);
    return promise;
  }

  watch(watcher: { cancelled(reason: MicroError): void }): void {
    this.unlink = this.bounds?.given?.onCancel((reason) => {
      this.own?.cancel(reason);
      watcher.cancelled(reason);
    });
  }

  answered(value: unknown): void {
    this.settled("answered");
    if (this.resolve === undefined) this.early = value;
    else this.resolve(value);
  }

  failed(error: MicroError): void {
    this.settled("failed");
    if (this.reject === undefined) this.early = error;
    else this.reject(error);
  }

  private settled(state: "answered" | "failed"): void {
    this.state = state;
    if (this.resolve !== undefined) release();
    this.unlink?.();
    this.bounds?.unlink?.();
  }
}
