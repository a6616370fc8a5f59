import type { Broker, BrokerEvent } from "../../broker.ts";
import type { MicroError } from "../../errors.ts";

/** Tells the broker's `onError`; one that fails itself must not break the delivery. */
export function reporter(broker: Broker): (error: MicroError, event?: BrokerEvent) => void {
  return (error, event) => {
    try {
      broker.onError?.(error, event);
    } catch {
      // There is nobody left to tell.
    }
  };
}
