import { Cancellation, type CallOptions } from "../context.ts";
import type { MicroError } from "../errors.ts";
import { hold, release } from "../internal/hold.ts";
import { Metadata } from "../metadata.ts";
import type { LocalRequest, LocalService } from "../server.ts";
import type { ClientEngine } from "./engine.ts";
import type { PreparedCall } from "./prepared.ts";
import { Bounded } from "./quick.ts";
import type { Target } from "./target.ts";

/** A unary call within the process: one object and one promise from the caller to the handler and back. */
export class LocalQuick extends Bounded implements LocalRequest {
  declare readonly local: string;
  declare readonly remote: string;
  declare private seen: Metadata | undefined;
  declare private own: Cancellation | undefined;
  declare private unlink: (() => void) | undefined;
  declare private resolve: (value: unknown) => void;
  declare private reject: (error: unknown) => void;

  constructor(
    engine: ClientEngine,
    target: Target,
    request: unknown,
    options: CallOptions | undefined,
    made?: PreparedCall,
  ) {
    super(engine, target, request, options, made);
    this.local = "";
    this.remote = "";
    this.seen = undefined;
    this.own = undefined;
    this.unlink = undefined;
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

  start(service: LocalService): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      hold();
      if (this.given?.reason !== undefined) this.failed(this.given.reason);
      else if (this.deadline <= this.began) this.failed(this.engine.tooLate(this.prepared()));
      else service.direct(this, this.request);
      if (this.options?.oneway === true) resolve(undefined);
    });
  }

  watch(watcher: { cancelled(reason: MicroError): void }): void {
    this.unlink = this.given?.onCancel((reason) => {
      this.own?.cancel(reason);
      watcher.cancelled(reason);
    });
  }

  answered(value: unknown): void {
    this.settled();
    this.resolve(value);
  }

  failed(error: MicroError): void {
    this.settled();
    this.reject(error);
  }

  private settled(): void {
    release();
    this.unlink?.();
    this.unlinkCaller?.();
  }
}
