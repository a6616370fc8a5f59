import { Cancellation } from "../../context.ts";
import type { MicroError } from "../../errors.ts";
import type { ServedCall } from "../../protocol.ts";

/** The part of a served call that its caller may give up: its cancellation is made when somebody asks for it. */
export abstract class Cancellable implements Pick<ServedCall, "cancellation" | "watch"> {
  // Set by the constructor alone: fields that a class defines cost a step each, and there is one of these for every call.
  declare private watcher: Parameters<ServedCall["watch"]>[0] | undefined;
  declare private cancelling: Cancellation | undefined;
  declare private reason: MicroError | undefined;

  constructor() {
    this.watcher = undefined;
    this.cancelling = undefined;
    this.reason = undefined;
  }

  get cancellation(): Cancellation {
    if (this.cancelling === undefined) {
      this.cancelling = new Cancellation();
      if (this.reason !== undefined) this.cancelling.cancel(this.reason);
    }
    return this.cancelling;
  }

  watch(watcher: Parameters<ServedCall["watch"]>[0]): void {
    this.watcher = watcher;
  }

  cancel(reason: MicroError): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.cancelling?.cancel(reason);
    this.watcher?.cancelled(reason);
  }
}
