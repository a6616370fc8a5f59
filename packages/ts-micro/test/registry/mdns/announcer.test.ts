import { describe, expect, it } from "vitest";
import { Announcer } from "../../../src/registry/mdns/announcer.ts";
import { entryOf, type Entry } from "../../../src/registry/mdns/entry.ts";
import { namesOf } from "../../../src/registry/mdns/names.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { decodePacket } from "../../../src/wire/dns.ts";

async function fixture() {
  const clock = virtualClock();
  const said: string[] = [];
  const world = { reachable: true };
  const announcer = new Announcer(clock, (packet) => {
    if (!world.reachable) return Promise.reject(new Error("no network"));
    const { response, answers } = decodePacket(packet);
    said.push(`${clock.now()} ${response ? `TTL ${answers[0]?.ttl}` : "probe"}`);
    return Promise.resolve();
  });
  const nodes = [{ id: "a", address: "127.0.0.1:1", metadata: {} }];
  const record = { name: "greeter", version: "1", metadata: {}, endpoints: [], nodes };
  const entry: Entry = await entryOf(namesOf("micro", "vm"), record, 8192, clock);
  return { clock, said, announcer, entry, world };
}

describe("a node that comes", () => {
  it("is announced three times and probed for three times, the first time at once", async () => {
    const { clock, said, announcer, entry } = await fixture();
    await announcer.announce(entry);
    await clock.advance(60_000);
    expect(said).toEqual(["0 TTL 120", "0 probe", "125 probe", "250 probe", "1000 TTL 120", "3000 TTL 120"]);
    expect(clock.pending()).toBe(0);
  });

  it("is announced from the beginning when it comes again meanwhile", async () => {
    const { clock, said, announcer, entry } = await fixture();
    await announcer.announce(entry);
    await clock.advance(500);
    await announcer.announce(entry);
    await clock.advance(60_000);
    expect(said.filter((line) => line.endsWith("120"))).toEqual([
      "0 TTL 120",
      "500 TTL 120",
      "1500 TTL 120",
      "3500 TTL 120",
    ]);
  });

  it("and goes says goodbye twice, and nothing afterwards", async () => {
    const { clock, said, announcer, entry } = await fixture();
    await announcer.announce(entry);
    await clock.advance(100);
    await announcer.goodbye(entry);
    await clock.advance(60_000);
    expect(said).toEqual(["0 TTL 120", "0 probe", "100 TTL 0", "100 TTL 0"]);
  });

  it("on no network fails once, and a goodbye there is no error", async () => {
    const { clock, announcer, entry, world } = await fixture();
    world.reachable = false;
    await expect(announcer.announce(entry)).rejects.toThrow("no network");
    await announcer.goodbye(entry);
    expect(clock.pending()).toBe(0);
    world.reachable = true;
    await announcer.announce(entry);
    world.reachable = false;
    await clock.advance(60_000);
    expect(clock.pending()).toBe(0);
  });
});
