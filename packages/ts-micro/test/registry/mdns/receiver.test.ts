import { assert, constantFrom, integer, property, array, record as shape, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { entryOf } from "../../../src/registry/mdns/entry.ts";
import { namesOf } from "../../../src/registry/mdns/names.ts";
import { Reader, type Instance } from "../../../src/registry/mdns/reader.ts";
import { Receiver } from "../../../src/registry/mdns/receiver.ts";
import { Zone } from "../../../src/registry/mdns/zone.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { decodePacket, encodePacket, type DnsPacket, type DnsRecord } from "../../../src/wire/dns.ts";
import { encodeTxt } from "../../../src/wire/mdns-txt.ts";

const names = namesOf("micro", "vm");
const querier = { address: "10.0.0.9", port: 40_000, family: "IPv4" } as const;
const a = "greeter-a.greeter.micro.";

async function fixture(answersPerSecond = 100) {
  const clock = virtualClock();
  const zone = new Zone(names);
  const seen: Instance[] = [];
  const listed: string[] = [];
  const replies: Required<DnsPacket>[] = [];
  const repliedTo = new Set<string>();
  const receiver = new Receiver({
    names,
    zone,
    clock,
    answersPerSecond,
    reply: (packet, to) => {
      replies.push(decodePacket(packet));
      repliedTo.add(`${to.address}:${to.port}`);
    },
    wanted: (parent) => parent === "greeter.micro.",
    instance: (instance) => seen.push(instance),
    listed: (service) => listed.push(service),
  });
  for (const [id, name, address] of [
    ["greeter-a", "greeter", "127.0.0.1:1"],
    ["greeter-b", "greeter", "[fd00::2]:2"],
    ["other-c", "some.other", "10.0.0.1:3"],
  ] as const) {
    const nodes = [{ id, address, metadata: {} }];
    zone.set(await entryOf(names, { name, version: "1", metadata: {}, endpoints: [], nodes }, 8192, clock));
  }
  const ask = (name: string, type: string, packet: DnsPacket = {}): string[] => {
    replies.length = 0;
    receiver.take(encodePacket({ id: 7, questions: [{ name, type }], ...packet }), querier, true);
    return replies.map(({ answers }) => answers.map((answer) => answer.type).join(" "));
  };
  return { clock, zone, receiver, replies, repliedTo, seen, listed, ask };
}

interface Told {
  service?: string;
  /** Whose text it has. */
  about?: string;
  metadata?: Record<string, string>;
  ttl?: number;
  port?: number;
  /** A record left out. */
  without?: string;
}

function told(id: string, over: Told = {}): Buffer {
  const { service = "greeter", about = service, metadata = { zone: "z" }, ttl = 120, port = 80, without } = over;
  const name = `${id}.${service}.micro.`;
  const strings = encodeTxt({ metadata, service: about, version: "1", endpoints: [] });
  const answers: DnsRecord[] = [
    { type: "SRV", name, ttl, priority: 10, weight: 1, port, target: "far." },
    { type: "A", name: "far.", ttl, address: "10.0.0.1" },
    { type: "TXT", name, ttl, strings },
  ];
  return encodePacket({ response: true, answers: answers.filter(({ type }) => type !== without) });
}

describe("questions to mdns", () => {
  it("are answered by the rules of Go's zone", async () => {
    const { ask } = await fixture();
    expect(ask("greeter.micro.", "PTR")).toEqual(["PTR SRV A TXT", "PTR SRV AAAA TXT"]);
    expect(ask("greeter.micro.", "ANY")).toEqual(["PTR SRV A TXT", "PTR SRV AAAA TXT"]);
    expect(ask("greeter.micro.", "SRV")).toEqual([]);
    expect(ask(a, "ANY")).toEqual(["SRV A TXT"]);
    expect(ask(a, "SRV")).toEqual(["SRV A"]);
    expect(ask(a, "TXT")).toEqual(["TXT"]);
    expect(ask(a, "A")).toEqual(["A"]);
    expect(ask(a, "AAAA")).toEqual([]);
    expect(ask("greeter-b.greeter.micro.", "AAAA")).toEqual(["AAAA"]);
    expect(ask(a, "PTR")).toEqual([]);
    expect(ask("vm.", "A")).toEqual(["A A"]);
    expect(ask("vm.", "AAAA")).toEqual(["AAAA"]);
    expect(ask("vm.", "PTR")).toEqual([]);
    expect(ask("_services.micro.", "PTR")).toEqual(["PTR SRV A TXT", "PTR SRV A TXT"]);
    expect(ask("some.other._services.micro.", "ANY")).toEqual(["SRV A TXT"]);
    expect(ask("_services._dns-sd._udp.micro.", "PTR")).toEqual(["PTR", "PTR", "PTR"]);
    expect(ask("Greeter.micro.", "PTR")).toEqual([]);
    expect(ask("greeter.local.", "PTR")).toEqual([]);
  });

  it("are echoed as they were, with AA, and ID 0 but for the QU bit", async () => {
    const { ask, replies } = await fixture();
    ask(a, "SRV");
    expect(replies[0]).toMatchObject({
      id: 0,
      response: true,
      authoritative: true,
      questions: [{ name: a, type: "SRV" }],
    });
    ask(a, "SRV", { questions: [{ name: a, type: "SRV", unicast: true }] });
    expect(replies[0]).toMatchObject({ id: 7, questions: [{ unicast: true, class: 1 }] });
  });

  it("with the QU bit are answered so for the service too", async () => {
    const { ask, replies } = await fixture();
    expect(ask("greeter.micro.", "PTR")).toHaveLength(2);
    expect(replies[0]).toMatchObject({ id: 0, questions: [{ name: "greeter.micro.", type: "PTR", unicast: false }] });
    ask("greeter.micro.", "PTR", { questions: [{ name: "greeter.micro.", type: "PTR", unicast: true }] });
    expect(replies[0]).toMatchObject({ id: 7, questions: [{ unicast: true }] });
  });

  it.each([
    ["a response that echoes a question", { response: true }],
    ["another opcode", { opcode: 4 }],
    ["a response code", { rcode: 3 }],
    ["a truncated query", { truncated: true }],
    ["another class", { questions: [{ name: "greeter.micro.", type: "PTR", class: 3 }] }],
    ["too many questions", { questions: Array.from({ length: 17 }, () => ({ name: "greeter.micro.", type: "PTR" })) }],
  ])("%s gets no answer", async (_, packet) => {
    const { ask } = await fixture();
    expect(ask("greeter.micro.", "PTR")).toHaveLength(2);
    expect(ask("greeter.micro.", "PTR", packet)).toEqual([]);
  });

  it("the same question many times in a packet is answered once", async () => {
    const { ask } = await fixture();
    const questions = Array.from({ length: 16 }, () => ({ name: a, type: "SRV" }));
    expect(ask(a, "SRV", { questions })).toEqual(["SRV A"]);
  });

  it("are read at the well-known port only", async () => {
    const { receiver, replies } = await fixture();
    receiver.take(encodePacket({ questions: [{ name: a, type: "SRV" }] }), querier, false);
    expect(replies).toEqual([]);
  });

  it("of one host are answered so many times a second, and no more; those of others are", async () => {
    const { clock, ask, receiver, repliedTo } = await fixture(10);
    const answered = (times: number): number =>
      Array.from({ length: times }, () => ask(a, "SRV").length).reduce((sum, count) => sum + count, 0);
    expect(answered(100)).toBe(20);
    await clock.advance(500);
    expect(answered(100)).toBe(5);
    expect(ask("greeter.micro.", "PTR")).toEqual([]);
    await clock.advance(100);
    expect(ask("greeter.micro.", "PTR")).toHaveLength(2);
    expect(ask("greeter.micro.", "PTR")).toEqual([]);
    receiver.take(encodePacket({ questions: [{ name: a, type: "SRV" }] }), { ...querier, address: "10.0.0.8" }, true);
    expect(repliedTo).toEqual(new Set(["10.0.0.9:40000", "10.0.0.8:40000"]));
  });
});

describe("answers to mdns", () => {
  it("are read whatever the section, the order and the echo", async () => {
    const { receiver, seen } = await fixture();
    const { answers } = decodePacket(told("x"));
    for (const packet of [{ answers }, { additional: answers }, { answers: answers.toReversed() }])
      receiver.take(encodePacket({ response: true, id: 9, ...packet }), querier, false);
    expect(seen).toHaveLength(3);
    for (const { name, parent, ttl, record } of seen)
      expect({ name, parent, ttl, record }).toEqual({
        name: "x.greeter.micro.",
        parent: "greeter.micro.",
        ttl: 120,
        record: {
          name: "greeter",
          version: "1",
          metadata: {},
          endpoints: [],
          nodes: [{ id: "x", address: "10.0.0.1:80", metadata: { zone: "z" } }],
        },
      });
  });

  it("with several instances are all read; IPv4 goes before IPv6", async () => {
    const { receiver, seen } = await fixture();
    const answers = ["x", "y"].flatMap((id) => decodePacket(told(id)).answers);
    const six: DnsRecord = { type: "AAAA", name: "far.", ttl: 120, address: "fd00::1" };
    receiver.take(encodePacket({ response: true, answers: [six, ...answers, six] }), querier, true);
    expect(seen.map(({ record }) => record.nodes[0])).toMatchObject([
      { id: "x", address: "10.0.0.1:80" },
      { id: "y", address: "10.0.0.1:80" },
    ]);
  });

  it("with a TTL of 0 anywhere are a goodbye", async () => {
    const { receiver, seen } = await fixture();
    receiver.take(told("x", { ttl: 0 }), querier, true);
    expect(seen.map(({ ttl }) => ttl)).toEqual([0]);
  });

  it("that are incomplete, of another service, or whose text belongs to another one are not read", async () => {
    const { receiver, seen } = await fixture();
    for (const without of ["SRV", "A", "TXT"]) receiver.take(told("x", { without }), querier, true);
    receiver.take(told("x", { service: "other" }), querier, true);
    receiver.take(told("x", { about: "other" }), querier, true);
    receiver.take(told("x", { port: 0 }), querier, true);
    expect(seen).toEqual([]);
  });

  it("name services by their list, but for goodbyes", async () => {
    const { receiver, listed } = await fixture();
    const ptr = (ttl: number, target: string): DnsRecord => ({ type: "PTR", name: "_services.micro.", ttl, target });
    const answers = [ptr(120, "a.b._services.micro."), ptr(0, "gone._services.micro."), ptr(120, "x.elsewhere.")];
    receiver.take(encodePacket({ response: true, answers }), querier, false);
    expect(listed).toEqual(["a.b"]);
  });

  it("that are new are read so many times for one host, known ones always", async () => {
    const { receiver, seen, clock } = await fixture();
    const text = (i: number): Buffer => told("x", { metadata: { i: `${i}` } });
    for (let i = 0; i < 1200; i++) receiver.take(text(i), querier, true);
    expect(seen).toHaveLength(1000);
    receiver.take(text(999), querier, true);
    expect(seen).toHaveLength(1001);
    await clock.advance(1000);
    for (let i = 2000; i < 2200; i++) receiver.take(text(i), querier, true);
    expect(seen).toHaveLength(1101);
  });

  it("with texts that unpack to a lot are soon forgotten, and read anew", () => {
    const reader = new Reader(names);
    let reads = 0;
    const read = (i: number): void => {
      const packet = decodePacket(told(`x${i}`, { metadata: { pad: "x".repeat(900_000), i: `${i}` } }));
      const { instances } = reader.read(
        packet,
        () => true,
        () => ++reads > 0,
      );
      expect(instances).toHaveLength(1);
    };
    for (let i = 0; i < 40; i++) read(i);
    read(39);
    expect(reads).toBe(40);
    read(0);
    expect(reads).toBe(41);
  });

  it("and questions of any bytes do no harm", async () => {
    const { receiver, replies, seen } = await fixture(1e9);
    assert(
      property(uint8Array({ maxLength: 600 }), (bytes) => receiver.take(bytes, querier, true)),
      { numRuns: 3000 },
    );
    const whole = [told("x"), encodePacket({ questions: [{ name: "greeter.micro.", type: "PTR" }] })];
    const damage = shape({
      packet: constantFrom(...whole),
      at: array(integer({ min: 0, max: 400 }), { maxLength: 4 }),
      value: integer({ min: 0, max: 255 }),
    });
    assert(
      property(damage, ({ packet, at, value }) => {
        const bytes = Buffer.from(packet);
        for (const index of at) if (index < bytes.length) bytes[index] = value;
        receiver.take(bytes, querier, true);
      }),
      { numRuns: 3000 },
    );
    expect(replies.length).toBeGreaterThan(0);
    expect(seen.length).toBeGreaterThan(0);
  });
});
