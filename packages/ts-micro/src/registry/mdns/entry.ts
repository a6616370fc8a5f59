import { lookup } from "node:dns/promises";
import { isIP, isIPv4 } from "node:net";
import type { Clock } from "../../clock.ts";
import { errors, fromUnknown } from "../../errors.ts";
import { parseAddress } from "../../internal/net-address.ts";
import { randomBytes } from "../../internal/random.ts";
import { within } from "../../internal/within.ts";
import type { EndpointRecord, ServiceRecord } from "../../registry.ts";
import {
  encodePacket,
  type AaaaRecord,
  type ARecord,
  type DnsQuestion,
  type DnsRecord,
  type SrvRecord,
  type TxtRecord,
} from "../../wire/dns.ts";
import { decodeTxt, encodeTxt } from "../../wire/mdns-txt.ts";
import { idKey, instanceName, serviceName, type Names } from "./names.ts";

/** Seconds that others may remember our records. Go's. */
export const ttlSeconds = 120;

/** Metadata of a node whose record had to be cut: endpoints carry their names and kinds only, or there are none at all. */
const truncatedKey = "truncated";

/** One node of ours, as it is on the wire. */
export interface Entry {
  readonly service: string;
  /** `greeter.micro.` */
  readonly parent: string;
  /** `greeter-1.greeter.micro.` */
  readonly name: string;
  /** As registered; its one node. */
  readonly record: ServiceRecord;
  /** As others read it. */
  readonly shown: ServiceRecord;
  readonly srv: SrvRecord;
  readonly address: ARecord | AaaaRecord;
  readonly txt: TxtRecord;
  /** The packet that answers the usual question, `greeter.micro.` PTR: a host of many nodes has to answer it for all of them within 100 ms. */
  readonly answer: Buffer;
}

type Bare = Omit<Entry, "answer">;

/**
 * The entry of a record of one node.
 * @throws MicroError BAD_REQUEST for a name or address that mDNS cannot carry, PAYLOAD_TOO_LARGE when not even the node alone fits into `maxPacket` bytes.
 */
export async function entryOf(names: Names, record: ServiceRecord, maxPacket: number, clock: Clock): Promise<Entry> {
  const [node] = record.nodes;
  if (node === undefined) throw errors.badRequest("mdns", "mdns: a record of no node");
  const parent = serviceName(names, record.name);
  const { name, alias } = instanceName(node.id, record.name, parent);
  const { ip, port } = await whereIs(node.address, clock);
  const srv: SrvRecord = { type: "SRV", name, ttl: ttlSeconds, priority: 10, weight: 1, port, target: names.host };
  const address: ARecord | AaaaRecord = {
    type: isIPv4(ip) ? "A" : "AAAA",
    name: names.host,
    ttl: ttlSeconds,
    address: ip,
  };
  const base = { service: record.name, parent, name, record, srv, address };
  for (const { endpoints, cut } of cuts(record.endpoints)) {
    const metadata = {
      ...node.metadata,
      ...(alias ? { [idKey]: node.id } : {}),
      ...(cut ? { [truncatedKey]: "true" } : {}),
    };
    const strings = encodeTxt({ metadata, service: record.name, version: record.version, endpoints });
    const txt: TxtRecord = { type: "TXT", name, ttl: ttlSeconds, strings };
    const { [idKey]: _, ...seen } = metadata;
    const nodes = [{ ...node, metadata: seen }];
    const bare = { ...base, shown: { ...record, metadata: {}, endpoints, nodes }, txt };
    if (readable(strings) && fits(bare, maxPacket)) return answered(bare);
  }
  throw errors.payloadTooLarge(
    "mdns",
    `mdns: the metadata of node ${node.id} does not fit into a packet of ${maxPacket} bytes`,
  );
}

/** What answers a query for the service: the one instance (wire spec §5.2: PTR, SRV, address, TXT in this order). */
export function answersOf(entry: Bare): DnsRecord[] {
  const ptr: DnsRecord = { type: "PTR", name: entry.parent, ttl: ttlSeconds, target: entry.name };
  return [ptr, ...instanceOf(entry)];
}

export function instanceOf({ srv, address, txt }: Bare): DnsRecord[] {
  return [srv, address, txt];
}

/** The same with its answer. */
export function answered(entry: Bare): Entry {
  const questions: DnsQuestion[] = [{ name: entry.parent, type: "PTR" }];
  const answer = encodePacket({ response: true, authoritative: true, questions, answers: answersOf(entry) });
  return { ...entry, answer };
}

/** An unsolicited response: no question, not authoritative, not compressed, as Go sends it. `ttl` 0 says goodbye. */
export function announcement(entry: Bare, ttl: number): Buffer {
  const { srv, address, txt } = entry;
  const answers = [
    { ...srv, ttl },
    { ...address, ttl },
    { ...txt, ttl },
  ];
  return encodePacket({ response: true, answers }, { compress: false });
}

/** A query whether anybody else has the name. Go sends three and listens to no answer. */
export function probe(entry: Bare, id: number = randomBytes(2).readUInt16BE()): Buffer {
  const questions: DnsQuestion[] = [{ name: entry.name, type: "PTR" }];
  const authority: DnsRecord[] = [{ ...entry.srv, priority: 0, weight: 0 }, entry.txt];
  return encodePacket({ id, questions, authority }, { compress: false });
}

/** Readers of ours refuse what grows too large, or too deep, when it is unpacked. */
function readable(strings: readonly string[]): boolean {
  try {
    decodeTxt(strings);
    return true;
  } catch {
    return false;
  }
}

function fits(entry: Bare, maxPacket: number): boolean {
  try {
    return Math.max(announcement(entry, 0).length, probe(entry, 0).length) <= maxPacket;
  } catch (error) {
    if (fromUnknown(error).code === "PAYLOAD_TOO_LARGE") return false;
    throw error;
  }
}

const telling = new Set(["stream", "kind", "subscriber", "topic", "idempotent"]);

function* cuts(endpoints: EndpointRecord[]): Generator<{ endpoints: EndpointRecord[]; cut: boolean }> {
  yield { endpoints, cut: false };
  const kinds = endpoints.map(({ name, metadata }) => ({
    name,
    metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => telling.has(key))),
  }));
  yield { endpoints: kinds, cut: true };
  yield { endpoints: [], cut: true };
}

/** How long the system may take for the address of a host name. */
const resolveMs = 5000;

async function whereIs(address: string, clock: Clock): Promise<{ ip: string; port: number }> {
  const where = parseAddress(address);
  if ("path" in where)
    throw errors.badRequest("mdns", `mdns: ${address} is no address for other hosts; mDNS carries host:port only`);
  const { host, port } = where;
  if (isIP(host) === 0 || host.includes("%")) return { ip: await resolve(host, address, clock), port };
  if (host === "0.0.0.0" || host === "::")
    throw errors.badRequest("mdns", `mdns: ${address} is every address; advertise one of them`);
  const mapped = host.toLowerCase().startsWith("::ffff:") ? host.slice(7) : host;
  return { ip: isIPv4(mapped) ? mapped : host, port };
}

async function resolve(host: string, address: string, clock: Clock): Promise<string> {
  try {
    const found = await within(clock, resolveMs, lookup(host, { all: true }), () => []);
    const best = found.find(({ family }) => family === 4) ?? found[0];
    if (best === undefined) throw new Error("no address");
    return best.address;
  } catch (error) {
    const why = "cannot resolve the host, and mDNS carries IP addresses only";
    throw errors.badRequest("mdns", `mdns: ${address}: ${why}`, error);
  }
}
