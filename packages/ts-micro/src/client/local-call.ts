import { Cancellation, type CallOptions } from "../context.ts";
import type { MicroError } from "../errors.ts";
import { hold, release } from "../internal/hold.ts";
import { Metadata } from "../metadata.ts";
import type { LocalEndpoint, LocalRequest } from "../server.ts";
import type { ClientEngine } from "./engine.ts";
import type { PreparedCall } from "./prepared.ts";
import { Bounded } from "./quick.ts";
import type { Target } from "./target.ts";

/** A unary call within the process: one object and one promise from the caller to the handler and back. */
export class LocalQuick extends Bounded implements LocalRequest {
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
    super(engine, target, request, options, made);
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
    return (this.seen ??= Metadata.over(this.sent));
  }

  /** The handler's own, which its deadline cancels too. */
  get cancellation(): Cancellation {
    if (this.own === undefined) {
      const own = (this.own = new Cancellation());
      if (this.given?.reason !== undefined) own.cancel(this.given.reason);
    }
    return this.own;
  }

  start(endpoint: LocalEndpoint): Promise<unknown> {
    const oneway = this.options?.oneway === true;
    if (this.given?.reason !== undefined) this.failed(this.given.reason);
    else if (this.deadline <= this.began) this.failed(this.engine.tooLate(this.prepared()));
    else {
      endpoint.direct(this, this.request);
      if (oneway && this.state !== "open") return Promise.resolve();
    }
    // A handler that answers at once leaves nothing to wait for.
    if (this.state === "answered") return Promise.resolve(this.early);
    if (this.state === "failed") return Promise.reject(this.early);
    hold();
    const promise = this.promise();
    if (oneway) this.resolve?.(undefined);
    return promise;
  }

  watch(watcher: { cancelled(reason: MicroError): void }): void {
    this.unlink = this.given?.onCancel((reason) => {
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
    this.unlinkCaller?.();
  }
}
