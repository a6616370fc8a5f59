import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import type { EndpointRecord, ServiceRecord, Value } from "../../../src/registry.ts";
import { announcement, answersOf, entryOf, type Entry } from "../../../src/registry/mdns/entry.ts";
import {
  instanceId,
  instanceName,
  listedName,
  listedService,
  namesOf,
  serviceName,
} from "../../../src/registry/mdns/names.ts";
import { Reader } from "../../../src/registry/mdns/reader.ts";
import { decodePacket, encodePacket } from "../../../src/wire/dns.ts";
import { decodeTxt } from "../../../src/wire/mdns-txt.ts";

const names = namesOf("micro", "vm");
const uuid = "11111111-2222-4333-8444-555555555555";

function record(id: string, over: Partial<ServiceRecord> = {}, address = "127.0.0.1:7001"): ServiceRecord {
  const nodes = [{ id, address, metadata: { protocol: "mucp" } }];
  return { name: "greeter", version: "latest", metadata: {}, endpoints: [], nodes, ...over };
}

function made(from: ServiceRecord, maxPacket = 8192): Promise<Entry> {
  return entryOf(names, from, maxPacket, systemClock);
}

/** The entry as a reader of ours finds it. */
function read(entry: Entry): ServiceRecord[] {
  const packet = decodePacket(encodePacket({ response: true, answers: answersOf(entry) }));
  return new Reader(names)
    .read(
      packet,
      () => true,
      () => true,
    )
    .instances.map((instance) => instance.record);
}

describe("names of mdns", () => {
  it("are Go's: dots make labels, letter case is kept", () => {
    expect(serviceName(names, "go.micro.srv.Greeter")).toBe("go.micro.srv.Greeter.micro.");
    expect(listedName(names, "go.micro.srv.Greeter")).toBe("go.micro.srv.Greeter._services.micro.");
    expect(listedService(names, "go.micro.srv.Greeter._services.micro.")).toBe("go.micro.srv.Greeter");
    expect(listedService(names, "_services.micro.")).toBeUndefined();
    expect(instanceName("greeter-127.0.0.1:8080", "greeter", "greeter.micro.")).toEqual({
      name: "greeter-127.0.0.1:8080.greeter.micro.",
      alias: false,
    });
    expect(instanceId("greeter-127.0.0.1:8080.greeter.micro.", "greeter.micro.")).toBe("greeter-127.0.0.1:8080");
    expect(instanceId("a.other.micro.", "greeter.micro.")).toBeUndefined();
  });

  it.each([
    "",
    "my service",
    "back\\slash",
    "a..b",
    ".a",
    "a.",
    "tab\there",
    "x".repeat(64),
    "_services",
    `${"abc.".repeat(70)}d`,
  ])("the service name %j is refused", (name) => {
    expect(() => serviceName(names, name)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it("a host without a usable name gets one", () => {
    expect(namesOf("micro", "").host).toBe("host.micro.");
    expect(namesOf("micro", "x".repeat(70)).host).toBe("host.micro.");
    expect(namesOf("micro", "vm.example.org").host).toBe("vm.example.org.");
  });

  it("an id that makes too long a label goes as its UUID, and comes back whole to readers of ours", async () => {
    const name = "a-service-with-a-long-name-x";
    const entry = await made(record(`${name}-${uuid}`, { name }));
    expect(entry.name).toBe(`${uuid}.${name}.micro.`);
    expect(read(entry)).toEqual([entry.record]);
    expect((await made(record(`${name.slice(0, 26)}-${uuid}`, { name: name.slice(0, 26) }))).name).toBe(
      `${name.slice(0, 26)}-${uuid}.${name.slice(0, 26)}.micro.`,
    );
  });

  it.each(["with space", "back\\slash", "a..b", "ü".repeat(40), "x".repeat(200), 'quote"d', "é"])(
    "the id %j comes back whole to readers of ours",
    async (id) => {
      expect(read(await made(record(id)))).toEqual([record(id)]);
    },
  );

  it("a service name that leaves no room for an id is refused", async () => {
    const name = `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.${"d".repeat(50)}`;
    await expect(made(record("n", { name }))).resolves.toBeDefined();
    await expect(made(record(`${name}-${uuid}`, { name }))).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });
});

describe("records of mdns", () => {
  const type: Value = { name: "Request", type: "Request", values: [] };
  const endpoints = (count: number): EndpointRecord[] =>
    Array.from({ length: count }, (_, i) => ({
      name: `Greeter.Method${i}`,
      request: {
        ...type,
        values: Array.from({ length: 8 }, (_, j) => ({ ...type, name: `field${(i * 7919 + j * 104_729) % 99_991}` })),
      },
      metadata: { stream: "true", kind: "server", description: `number ${(i * 7919) % 99_991}` },
    }));

  it("a record that fits goes whole", async () => {
    const entry = await made(record("a", { endpoints: endpoints(3) }));
    expect(read(entry)).toEqual([entry.record]);
    expect(entry.shown).toEqual(entry.record);
  });

  it("one that does not fit carries names and kinds, and says so; what we show is what others read", async () => {
    const entry = await made(record("a", { endpoints: endpoints(150) }));
    expect(announcement(entry, 120).length).toBeLessThanOrEqual(8192);
    const { metadata, endpoints: carried } = decodeTxt(entry.txt.strings);
    expect(metadata).toEqual({ protocol: "mucp", truncated: "true" });
    expect(carried).toHaveLength(150);
    expect(carried[149]).toMatchObject({ name: "Greeter.Method149", metadata: { stream: "true", kind: "server" } });
    expect(carried[149]?.request).toBeUndefined();
    expect(carried[149]?.metadata["description"]).toBeUndefined();
    expect(read(entry)).toEqual([JSON.parse(JSON.stringify(entry.shown))]);
  });

  it("one whose names alone do not fit carries no endpoints; one whose node does not fit is refused", async () => {
    const entry = await made(record("a", { endpoints: endpoints(2000) }), 1024);
    expect(decodeTxt(entry.txt.strings)).toMatchObject({ endpoints: [], metadata: { truncated: "true" } });
    const metadata = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`key${i * 7919}`, `${i * 104_729}`]));
    const fat = record("a", { nodes: [{ id: "a", address: "127.0.0.1:1", metadata }] });
    await expect(made(fat, 1024)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  it("one that would unpack to more than readers take is cut, however well it packs", async () => {
    const same = endpoints(1)[0] as EndpointRecord;
    const entry = await made(record("a", { endpoints: Array.from({ length: 3000 }, () => same) }), 60 * 1024);
    expect(entry.shown.nodes[0]?.metadata["truncated"]).toBe("true");
    expect(read(entry)).toHaveLength(1);
  });

  it.each([
    "unix:/tmp/socket",
    "0.0.0.0:80",
    "[::]:80",
    "127.0.0.1:0",
    "127.0.0.1",
    "queue-name",
    ":80",
    "[fe80::1%lo]:80",
  ])("the address %s is refused", async (address) => {
    await expect(made(record("a", {}, address))).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });

  it("IPv6 addresses go as AAAA, mapped IPv4 ones as A", async () => {
    expect((await made(record("a", {}, "[fd00::1]:80"))).address).toMatchObject({ type: "AAAA", address: "fd00::1" });
    expect((await made(record("a", {}, "[::ffff:10.0.0.1]:80"))).address).toMatchObject({
      type: "A",
      address: "10.0.0.1",
    });
  });
});
