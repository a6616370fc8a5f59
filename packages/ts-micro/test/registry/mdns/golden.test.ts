import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { announcement, answered, entryOf, probe, type Entry } from "../../../src/registry/mdns/entry.ts";
import { namesOf } from "../../../src/registry/mdns/names.ts";
import { Receiver } from "../../../src/registry/mdns/receiver.ts";
import { Zone } from "../../../src/registry/mdns/zone.ts";
import { decodePacket, type TxtRecord } from "../../../src/wire/dns.ts";
import { decodeTxt } from "../../../src/wire/mdns-txt.ts";
import { capture } from "../../wire/captures.ts";

const names = namesOf("micro", "vm");
const querier = { address: "127.0.0.1", port: 40_000, family: "IPv4" } as const;

describe.each(["v4-mdns", "v5-mdns"])("mdns, held against the bytes of %s", (file) => {
  const bytes = (name: string): Buffer =>
    Buffer.from((capture(file).packets ?? []).find((packet) => packet.name === name)?.hex ?? "", "hex");

  /** The captured node, registered with us. Its TXT strings are Go's: another zlib gives other bytes for the same text. */
  async function captured(): Promise<Entry> {
    const { answers } = decodePacket(bytes("mdns-answer"));
    const [ptr, srv, address, txt] = answers;
    if (ptr?.type !== "PTR" || srv?.type !== "SRV" || address?.type !== "A" || txt?.type !== "TXT")
      throw new Error("not the captured answer");
    const { metadata, service, version, endpoints } = decodeTxt(txt.strings);
    const nodes = [
      { id: ptr.target.slice(0, -".greeter.micro.".length), address: `${address.address}:${srv.port}`, metadata },
    ];
    const record = { name: service, version, metadata: {}, endpoints, nodes };
    const entry = await entryOf(names, record, 8192, systemClock);
    expect(decodeTxt(entry.txt.strings)).toEqual(decodeTxt(txt.strings));
    const strings: TxtRecord = { ...entry.txt, strings: txt.strings };
    return answered({ ...entry, txt: strings });
  }

  async function answersTo(query: Buffer): Promise<Buffer[]> {
    const zone = new Zone(names);
    zone.set(await captured());
    const replies: Buffer[] = [];
    const receiver = new Receiver({
      names,
      zone,
      clock: systemClock,
      answersPerSecond: 100,
      reply: (packet) => replies.push(Buffer.from(packet)),
      wanted: () => true,
      instance: () => {},
      listed: () => {},
    });
    receiver.take(query, querier, true);
    return replies;
  }

  it("a query for the service is answered with Go's bytes", async () => {
    expect(await answersTo(bytes("mdns-query"))).toEqual([bytes("mdns-answer")]);
  });

  it("a query for the list of services is answered with Go's bytes", async () => {
    expect(await answersTo(bytes("mdns-list-query"))).toEqual([bytes("mdns-list-answer")]);
  });

  it("announcement, goodbye and probe are Go's bytes", async () => {
    const entry = await captured();
    expect(announcement(entry, 120)).toEqual(bytes("mdns-announce"));
    expect(announcement(entry, 0)).toEqual(bytes("mdns-goodbye"));
    const goProbe = bytes("mdns-probe");
    expect(probe(entry, goProbe.readUInt16BE(0))).toEqual(goProbe);
  });

  it("announcements and probes of Go get no answer", async () => {
    for (const name of ["mdns-announce", "mdns-goodbye", "mdns-probe", "mdns-answer"])
      expect(await answersTo(bytes(name))).toEqual([]);
  });
});
