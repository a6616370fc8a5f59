import { describe, expect, it } from "vitest";
import { Queries } from "../../../src/registry/mdns/queries.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { decodePacket } from "../../../src/wire/dns.ts";

function fixture() {
  const clock = virtualClock();
  const sent: string[] = [];
  const line = {
    received: 0,
    multicast: async (packet: Uint8Array): Promise<void> => {
      const { id, response, questions } = decodePacket(packet);
      expect([response, questions.length, questions[0]?.type, id >= 0]).toEqual([false, 1, "PTR", true]);
      sent.push(questions[0]?.name ?? "");
    },
  };
  const queries = new Queries<string>(line, clock, 100);
  const answer = (name: string, text: string): void => {
    line.received++;
    queries.answer(name, text);
  };
  return { clock, sent, line, queries, answer };
}

describe("a question on mdns", () => {
  it("collects what comes for its name until its time is over", async () => {
    const { clock, sent, queries, answer } = fixture();
    const got: string[] = [];
    const asked = queries.ask("a.micro.", (text) => got.push(text));
    expect(queries.asks("a.micro.")).toBe(true);
    answer("a.micro.", "one");
    answer("b.micro.", "foreign");
    await clock.advance(99);
    answer("a.micro.", "two");
    await clock.advance(1);
    await asked;
    answer("a.micro.", "late");
    expect(got).toEqual(["one", "two"]);
    expect(sent).toEqual(["a.micro."]);
    expect(queries.asks("a.micro.")).toBe(false);
    expect(clock.pending()).toBe(0);
  });

  it("is asked again at half time when nothing came", async () => {
    const { clock, sent, queries } = fixture();
    const asked = queries.ask("a.micro.", () => {});
    await clock.advance(49);
    expect(sent).toHaveLength(1);
    await clock.advance(51);
    await asked;
    expect(sent).toHaveLength(2);
  });

  it("goes on while packets that came in time are still being read, and not for ever", async () => {
    const { clock, queries, answer } = fixture();
    let left = 5;
    const got: string[] = [];
    const reading = (): void => {
      if (left-- > 0) answer("a.micro.", `${left}`);
      if (left > -100) setImmediate(reading);
    };
    const asked = queries.ask("a.micro.", (text) => got.push(text));
    const over = asked.then(() => got.length);
    await clock.advance(0);
    clock.after(100, reading);
    await clock.advance(100);
    expect(await over).toBe(5);

    left = 10_000;
    const flooded = queries.ask("a.micro.", () => {});
    await clock.advance(0);
    clock.after(100, reading);
    await clock.advance(100);
    await flooded;
    expect(left).toBeGreaterThan(9000);
    left = -100;
  });

  it("ends at once when the caller gives up, or the registry is closed", async () => {
    const { clock, queries } = fixture();
    const control = new AbortController();
    const given = queries.ask("a.micro.", () => {}, control.signal);
    const other = queries.ask("a.micro.", () => {});
    await clock.advance(10);
    control.abort();
    await expect(given).rejects.toMatchObject({ code: "CANCELLED" });
    queries.close();
    await expect(other).rejects.toMatchObject({ code: "INVALID_STATE" });
    expect(clock.pending()).toBe(0);
  });
});
