import { malformed, unencodable } from "./fault.ts";

/**
 * Domain names in presentation form, as miekg/dns (Go's library) prints them: case kept, a dot after every label, `\` before `. ' @ ; ( ) " \`
 * and space within a label, `\DDD` for bytes outside printable ASCII. Go compares names in this form, letter by letter.
 */

const maxNameBytes = 255;
const maxLabelBytes = 63;
const maxPointers = 126;
const special = new Set(Buffer.from(".'@;() \"\\"));
const BACKSLASH = 92;
const DOT = 46;

/** One label for use in a name, from any text: dots in it do not separate. */
export function escapeLabel(text: string): string {
  return present(Buffer.from(text));
}

/** The labels of a name as plain text. */
export function labelsOf(name: string): string[] {
  return wireLabels(name).map((label) => label.toString("utf8"));
}

/** Reads the name at `at`; `next` is where it ends there. Follows compression pointers, which must point before the name they stand in. */
export function readName(packet: Buffer, at: number): { name: string; next: number } {
  let name = "";
  let next = -1;
  let bytes = 1;
  let pointers = 0;
  let limit = at;
  for (;;) {
    const length = packet[at];
    if (length === undefined) throw malformed("name beyond the packet");
    if (length === 0) return { name: name === "" ? "." : name, next: next < 0 ? at + 1 : next };
    if (length >= 192) {
      const low = packet[at + 1];
      if (low === undefined) throw malformed("name beyond the packet");
      if (next < 0) next = at + 2;
      const target = ((length & 63) << 8) | low;
      // Each one before the last: no loop, and none that costs more than its bytes.
      if (target >= limit || ++pointers > maxPointers)
        throw malformed("compression pointer that does not point backwards");
      limit = at = target;
      continue;
    }
    if (length > maxLabelBytes) throw malformed("label of an unknown kind");
    bytes += length + 1;
    if (bytes > maxNameBytes) throw malformed("name above 255 bytes");
    name += present(packet.subarray(at + 1, at + 1 + length)) + ".";
    at += 1 + length;
  }
}

/** Where names of a packet under construction begin, by their wire bytes as latin1. */
export type Offsets = Map<string, number>;

/**
 * The bytes of `name` for position `at` of a packet. With `offsets` it ends in a pointer to a name written before, where `compress` says so,
 * and becomes one that later names can point to. Letter case counts. Throws BAD_REQUEST for a label that is empty or above 63 bytes, a name
 * above 255 bytes, or a broken escape.
 */
export function nameBytes(name: string, at: number, offsets: Offsets | undefined, compress: boolean): Buffer {
  const parts = wireLabels(name).map((label) => Buffer.concat([Buffer.from([label.length]), label]));
  const root = Buffer.from([0]);
  if (offsets === undefined) return Buffer.concat([...parts, root]);
  const suffixes = parts.map((_, i) => Buffer.concat(parts.slice(i)).toString("latin1"));
  let known = compress ? suffixes.findIndex((suffix) => offsets.has(suffix)) : -1;
  if (known < 0) known = parts.length;
  for (let i = 0, offset = at; i < known; offset += (parts[i++] as Buffer).length)
    if (offset < 0x4000 && !offsets.has(suffixes[i] as string)) offsets.set(suffixes[i] as string, offset);
  const pointer = offsets.get(suffixes[known] ?? "");
  const end = pointer === undefined ? root : Buffer.from([0xc0 | (pointer >> 8), pointer & 0xff]);
  return Buffer.concat([...parts.slice(0, known), end]);
}

function wireLabels(name: string): Buffer[] {
  if (name === "." || name === "") return [];
  const bytes = Buffer.from(name);
  const labels: Buffer[] = [];
  let label: number[] = [];
  let total = 1;
  const endLabel = (): void => {
    if (label.length === 0) throw unencodable(`empty label in the name ${quote(name)}`);
    if (label.length > maxLabelBytes) throw unencodable(`label above 63 bytes in the name ${quote(name)}`);
    total += label.length + 1;
    if (total > maxNameBytes) throw unencodable(`name above 255 bytes: ${quote(name)}`);
    labels.push(Buffer.from(label));
    label = [];
  };
  for (let i = 0; i < bytes.length; i++) {
    let byte = bytes[i] as number;
    if (byte === DOT) {
      endLabel();
      continue;
    }
    if (byte === BACKSLASH) {
      const digits = bytes.toString("latin1", i + 1, i + 4);
      if (/^[0-9]{3}$/.test(digits)) {
        byte = Number(digits);
        i += 3;
      } else byte = bytes[++i] ?? 256;
      if (byte > 255) throw unencodable(`broken escape in the name ${quote(name)}`);
    }
    label.push(byte);
  }
  if (label.length > 0) endLabel(); // without its dot at the end
  return labels;
}

function present(label: Buffer): string {
  let out = "";
  for (const byte of label) {
    if (special.has(byte)) out += "\\" + String.fromCharCode(byte);
    else if (byte < 33 || byte > 126) out += "\\" + String(byte).padStart(3, "0");
    else out += String.fromCharCode(byte);
  }
  return out;
}

function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
