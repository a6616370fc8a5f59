import { expect, it } from "vitest";
import { logErrors } from "../../../src/broker/common/log.ts";
import { memoryBroker } from "../../../src/broker/memory.ts";
import { errors } from "../../../src/errors.ts";
import { logged } from "../../../src/internal/logged.ts";
import { memoryLogger } from "../../../src/logger/memory.ts";
import { virtualClock } from "../../../src/testing/clock.ts";

it("writes one error of each kind and topic a second, and how many more there were", async () => {
  const clock = virtualClock();
  const logger = memoryLogger();
  const tell = logErrors(memoryBroker(), logger, clock);
  const event = (topic: string) => ({
    topic,
    message: { header: {}, body: new Uint8Array() },
    ack: () => Promise.resolve(),
  });
  const lines = (): unknown[] => {
    const written = logger.records.map(({ message, fields }) => [message, fields["topic"]]);
    logger.clear();
    return written;
  };

  for (let n = 1; n <= 300; n++) tell(errors.unavailable("broker", `lost ${n}`), event("orders"));
  tell(errors.unavailable("broker", "lost as well"), event("others"));
  tell(errors.resourceExhausted("broker", "full"));
  const known = errors.internal("broker", "written before");
  logged(known);
  tell(known);
  expect(lines()).toEqual([
    ["broker memory: lost 1", "orders"],
    ["broker memory: lost as well", "others"],
    ["broker memory: full", undefined],
  ]);
  await clock.advance(1000);
  expect(lines()).toEqual([["broker memory: 299 more errors, the last: lost 300", "orders"]]);
  tell(errors.unavailable("broker", "lost again"), event("orders"));
  expect(lines()).toEqual([["broker memory: lost again", "orders"]]);
  await clock.advance(1000);
  expect([lines(), clock.pending()]).toEqual([[], 0]);
});
