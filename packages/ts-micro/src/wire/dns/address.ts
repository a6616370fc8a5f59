import { isIPv4, isIPv6 } from "node:net";
import { unencodable } from "./fault.ts";

/** The four bytes of a dotted IPv4 address. */
export function ipv4Bytes(address: string): Buffer {
  if (!isIPv4(address)) throw unencodable(`no IPv4 address: ${JSON.stringify(address.slice(0, 80))}`);
  return Buffer.from(address.split(".").map(Number));
}

/** The sixteen bytes of an IPv6 address, which must have no zone. */
export function ipv6Bytes(address: string): Buffer {
  if (!isIPv6(address) || address.includes("%"))
    throw unencodable(`no IPv6 address without zone: ${JSON.stringify(address.slice(0, 80))}`);
  const dotted = address.lastIndexOf(":") + 1;
  const text = address.includes(".") ? address.slice(0, dotted) + hexOfDotted(address.slice(dotted)) : address;
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  const out = Buffer.alloc(16);
  groups.forEach((group, i) => out.writeUInt16BE(Number.parseInt(group, 16), 2 * i));
  return out;
}

/** RFC 5952: lower case, the longest run of zero groups shortened; an IPv4-mapped address with a dotted tail. */
export function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  if (groups.slice(0, 6).join() === "0,0,0,0,0,ffff") return `::ffff:${[...bytes.subarray(12)].join(".")}`;
  let start = 0;
  let longest = 0;
  for (let i = 0, run = 0; i < 8; i++) {
    run = groups[i] === "0" ? run + 1 : 0;
    if (run > longest) [longest, start] = [run, i + 1 - run];
  }
  if (longest < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + longest).join(":")}`;
}

function hexOfDotted(dotted: string): string {
  const bytes = ipv4Bytes(dotted);
  return `${bytes.readUInt16BE(0).toString(16)}:${bytes.readUInt16BE(2).toString(16)}`;
}
