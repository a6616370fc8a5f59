import type { Broker, BrokerEvent } from "../../broker.ts";
import type { Clock } from "../../clock.ts";
import type { MicroError } from "../../errors.ts";
import { isLogged } from "../../internal/logged.ts";
import type { Logger } from "../../logger.ts";

/** How long errors of one kind are counted after one was written. */
const pause = 1000;

/**
 * What a broker tells nobody, as warnings. One that is like another in the second before is counted, not written: a subscriber that dies
 * costs its publisher an error for each message.
 */
export function logErrors(
  broker: Broker,
  logger: Logger,
  clock: Clock,
): (error: MicroError, event?: BrokerEvent) => void {
  const lately = new Map<string, { more: number; last: string }>();
  return (error, event) => {
    if (isLogged(error)) return;
    // Numbers are what differs between messages of one kind.
    const kind = `${error.code} ${event?.topic ?? ""} ${error.detail.replaceAll(/\d+/g, "")}`;
    const known = lately.get(kind);
    if (known !== undefined) {
      known.more++;
      known.last = error.detail;
      return;
    }
    const fields = event === undefined ? {} : { topic: event.topic };
    logger.warn(`broker ${broker.name}: ${error.detail}`, fields);
    const after = { more: 0, last: "" };
    lately.set(kind, after);
    clock.after(pause, () => {
      lately.delete(kind);
      if (after.more > 0)
        logger.warn(`broker ${broker.name}: ${after.more} more errors, the last: ${after.last}`, fields);
    });
  };
}
