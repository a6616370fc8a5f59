import { errors } from "../errors.ts";
import { malformed } from "./dns/fault.ts";
import { nameBytes, readName, type Offsets } from "./dns/name.ts";
import { dataBytes, readData, typeCode, typeName, uint16, type DnsRecord } from "./dns/record.ts";

export { escapeLabel, labelsOf } from "./dns/name.ts";
export type { AaaaRecord, ARecord, DnsRecord, SrvRecord, TxtRecord } from "./dns/record.ts";

export interface DnsQuestion {
  /** In presentation form (`greeter.micro.`), letter case kept. */
  name: string;
  /** `PTR`, `SRV`, `TXT`, `A`, `AAAA`, `ANY` or `TYPE<number>`. */
  type: string;
  /** Default 1, IN. */
  class?: number;
  /** The QU bit of mDNS: an answer by unicast is wanted. Default false. */
  unicast?: boolean;
}

/** A DNS packet (RFC 1035 §4) as mDNS uses it (wire spec §5.2). Everything missing is 0, false or empty. */
export interface DnsPacket {
  id?: number;
  /** QR. */
  response?: boolean;
  opcode?: number;
  /** AA. */
  authoritative?: boolean;
  /** TC. */
  truncated?: boolean;
  recursionDesired?: boolean;
  recursionAvailable?: boolean;
  rcode?: number;
  questions?: DnsQuestion[];
  answers?: DnsRecord[];
  authority?: DnsRecord[];
  additional?: DnsRecord[];
}

const headerBytes = 12;
const maxPacketBytes = 65_535;
// Compressed names let a packet of 64 KiB stand for megabytes of text.
const maxEntries = 1024;

/**
 * Reads a packet. Compressed names are followed, letter case is kept, record types without a name here are kept as bytes, bytes after the last
 * section are ignored. Throws PROTOCOL for anything that is no whole packet, and for packets above 65535 bytes or
 * 1024 questions and records.
 */
export function decodePacket(bytes: Uint8Array): Required<DnsPacket> {
  const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (packet.length < headerBytes || packet.length > maxPacketBytes)
    throw malformed(`packet of ${packet.length} bytes`);
  const counts = [4, 6, 8, 10].map((offset) => packet.readUInt16BE(offset));
  if (counts.reduce((sum, count) => sum + count) > maxEntries) throw malformed(`more than ${maxEntries} records`);
  const flags = packet.readUInt16BE(2);
  let at = headerBytes;
  const list = <T>(countAt: number, read: () => T): T[] => {
    const out: T[] = [];
    for (let left = packet.readUInt16BE(countAt); left > 0; left--) out.push(read());
    return out;
  };
  const need = (size: number): number => {
    if (at + size > packet.length) throw malformed("record beyond the packet");
    return at;
  };
  const question = (): Required<DnsQuestion> => {
    const { name, next } = readName(packet, at);
    at = next;
    const type = typeName(packet.readUInt16BE(need(4)));
    const bits = packet.readUInt16BE(at + 2);
    at += 4;
    return { name, type, class: bits & 0x7fff, unicast: bits >= 0x8000 };
  };
  const record = (): DnsRecord => {
    const { name, next } = readName(packet, at);
    at = next;
    const code = packet.readUInt16BE(need(10));
    const bits = packet.readUInt16BE(at + 2);
    const head = { name, class: bits & 0x7fff, flush: bits >= 0x8000, ttl: packet.readUInt32BE(at + 4) };
    const size = packet.readUInt16BE(at + 8);
    at += 10;
    need(size);
    at += size;
    return readData(head, code, packet, at - size, at);
  };
  return {
    id: packet.readUInt16BE(0),
    response: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    authoritative: (flags & 0x400) !== 0,
    truncated: (flags & 0x200) !== 0,
    recursionDesired: (flags & 0x100) !== 0,
    recursionAvailable: (flags & 0x80) !== 0,
    rcode: flags & 15,
    questions: list(4, question),
    answers: list(6, record),
    authority: list(8, record),
    additional: list(10, record),
  };
}

/**
 * Writes a packet. With `compress` (default true) repeated names become pointers, by the rules of Go's library; Go's responder compresses its
 * replies, not its announcements and probes. Throws BAD_REQUEST for a name, address or number that has no DNS form (labels above 63 bytes, names
 * above 255), PAYLOAD_TOO_LARGE above 65535 bytes.
 */
export function encodePacket(packet: DnsPacket, { compress = true }: { compress?: boolean } = {}): Buffer {
  const { questions = [], answers = [], authority = [], additional = [] } = packet;
  const offsets: Offsets | undefined = compress ? new Map() : undefined;
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(uint16(packet.id ?? 0), 0);
  header.writeUInt16BE(flagsOf(packet), 2);
  [questions, answers, authority, additional].forEach((list, i) =>
    header.writeUInt16BE(uint16(list.length), 4 + 2 * i),
  );
  const parts: Buffer[] = [header];
  let at = headerBytes;
  const put = (bytes: Buffer): void => {
    parts.push(bytes);
    at += bytes.length;
    if (at > maxPacketBytes) throw errors.payloadTooLarge("ts.micro.dns", `packet above ${maxPacketBytes} bytes`);
  };
  for (const question of questions) {
    put(nameBytes(question.name, at, offsets, true));
    const fixed = Buffer.alloc(4);
    fixed.writeUInt16BE(typeCode(question.type), 0);
    fixed.writeUInt16BE(classBits(question.class, question.unicast), 2);
    put(fixed);
  }
  for (const record of [...answers, ...authority, ...additional]) {
    put(nameBytes(record.name, at, offsets, true));
    const fixed = Buffer.alloc(10);
    const data = dataBytes(record, at + fixed.length, offsets);
    fixed.writeUInt16BE(typeCode(record.type), 0);
    fixed.writeUInt16BE(classBits(record.class, record.flush), 2);
    fixed.writeUInt32BE(ttlOf(record.ttl), 4);
    fixed.writeUInt16BE(uint16(data.length), 8);
    put(fixed);
    put(data);
  }
  return Buffer.concat(parts);
}

function flagsOf(packet: DnsPacket): number {
  const bit = (on: boolean | undefined, value: number): number => (on === true ? value : 0);
  return (
    bit(packet.response, 0x8000) |
    (((packet.opcode ?? 0) & 15) << 11) |
    bit(packet.authoritative, 0x400) |
    bit(packet.truncated, 0x200) |
    bit(packet.recursionDesired, 0x100) |
    bit(packet.recursionAvailable, 0x80) |
    ((packet.rcode ?? 0) & 15)
  );
}

function classBits(value = 1, top = false): number {
  return (uint16(value) & 0x7fff) | (top ? 0x8000 : 0);
}

function ttlOf(seconds: number): number {
  return Math.min(0x7fff_ffff, Math.max(0, Math.floor(seconds) || 0));
}
