import { ipv4Bytes, ipv6Bytes, ipv6Text } from "./address.ts";
import { malformed, unencodable } from "./fault.ts";
import { nameBytes, readName, type Offsets } from "./name.ts";

/** What every record has. */
export interface RecordHead {
  /** Owner, in presentation form (`greeter.micro.`). */
  name: string;
  /** Default 1, IN. */
  class?: number;
  /** The cache-flush bit of mDNS, which Go neither sets nor heeds. Default false. */
  flush?: boolean;
  /** Seconds; 0 says goodbye. */
  ttl: number;
}

export interface ARecord extends RecordHead {
  type: "A";
  address: string;
}

export interface AaaaRecord extends RecordHead {
  type: "AAAA";
  address: string;
}

export interface PtrRecord extends RecordHead {
  type: "PTR";
  target: string;
}

export interface SrvRecord extends RecordHead {
  type: "SRV";
  priority: number;
  weight: number;
  port: number;
  target: string;
}

export interface TxtRecord extends RecordHead {
  type: "TXT";
  /** One character per byte (latin1), each string 255 bytes at most. */
  strings: string[];
}

/** A record of a type that is not interpreted, such as NSEC (`TYPE47`). */
export interface OtherRecord extends RecordHead {
  type: `TYPE${number}`;
  data: Buffer;
}

export type DnsRecord = ARecord | AaaaRecord | PtrRecord | SrvRecord | TxtRecord | OtherRecord;

const codes: Record<string, number> = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, ANY: 255 };
const names = new Map(Object.entries(codes).map(([name, code]) => [code, name]));

/** `PTR` for 12; `TYPE47` for a type without a name here. */
export function typeName(code: number): string {
  return names.get(code) ?? `TYPE${code}`;
}

export function typeCode(type: string): number {
  const code = codes[type] ?? Number(/^TYPE([0-9]{1,5})$/.exec(type)?.[1] ?? -1);
  if (code < 0 || code > 0xffff) throw unencodable(`unknown record type ${JSON.stringify(type.slice(0, 20))}`);
  return code;
}

/** Reads the data of a record, `packet[at..end]`. */
export function readData(head: Required<RecordHead>, code: number, packet: Buffer, at: number, end: number): DnsRecord {
  const type = typeName(code);
  if (type === "A") return { ...head, type, address: addressAt(packet, at, end, 4).join(".") };
  if (type === "AAAA") return { ...head, type, address: ipv6Text(addressAt(packet, at, end, 16)) };
  if (type === "PTR") return { ...head, type, target: targetAt(packet, at, end) };
  if (type === "SRV") {
    if (end - at < 7) throw malformed("SRV record too short");
    const [priority, weight, port] = [
      packet.readUInt16BE(at),
      packet.readUInt16BE(at + 2),
      packet.readUInt16BE(at + 4),
    ];
    return { ...head, type, priority, weight, port, target: targetAt(packet, at + 6, end) };
  }
  if (type === "TXT") return { ...head, type, strings: stringsAt(packet, at, end) };
  return { ...head, type: `TYPE${code}`, data: Buffer.from(packet.subarray(at, end)) };
}

/** The data of a record that begins at `at`. Like miekg/dns, the target of SRV is not compressed, but others may point to it. */
export function dataBytes(record: DnsRecord, at: number, offsets: Offsets | undefined): Buffer {
  switch (record.type) {
    case "A":
      return ipv4Bytes(record.address);
    case "AAAA":
      return ipv6Bytes(record.address);
    case "PTR":
      return nameBytes(record.target, at, offsets, true);
    case "SRV": {
      const fixed = Buffer.alloc(6);
      [record.priority, record.weight, record.port].forEach((value, i) => fixed.writeUInt16BE(uint16(value), 2 * i));
      return Buffer.concat([fixed, nameBytes(record.target, at + 6, offsets, false)]);
    }
    case "TXT":
      return Buffer.concat(record.strings.map(stringBytes));
    default:
      return record.data;
  }
}

export function uint16(value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff) throw unencodable(`${value} does not fit in 16 bits`);
  return value;
}

function addressAt(packet: Buffer, at: number, end: number, bytes: number): Buffer {
  if (end - at !== bytes) throw malformed(`address of ${end - at} bytes instead of ${bytes}`);
  return packet.subarray(at, end);
}

function targetAt(packet: Buffer, at: number, end: number): string {
  const { name, next } = readName(packet, at);
  if (next !== end) throw malformed("name that does not fill its record");
  return name;
}

function stringsAt(packet: Buffer, at: number, end: number): string[] {
  const strings: string[] = [];
  while (at < end) {
    const next = at + 1 + (packet[at] as number);
    if (next > end) throw malformed("TXT string beyond its record");
    strings.push(packet.toString("latin1", at + 1, next));
    at = next;
  }
  return strings;
}

function stringBytes(text: string): Buffer {
  if (text.length > 255 || /[^\0-\xff]/.test(text)) throw unencodable("TXT string above 255 bytes, or no bytes");
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, "latin1")]);
}
