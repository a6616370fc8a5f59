import {
  array,
  assert,
  boolean,
  constantFrom,
  integer,
  ipV4,
  ipV6,
  nat,
  oneof,
  property,
  record,
  string,
  uint8Array,
} from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePacket, encodePacket, escapeLabel, labelsOf, type DnsPacket, type DnsRecord } from "ts-micro/wire/dns";
import { capture, type DecodedRecord } from "./captures.ts";
import { outcome } from "./outcome.ts";

const packets = ["v4-mdns", "v5-mdns"].flatMap((name) =>
  (capture(name).packets ?? []).map((packet) => ({
    name: `${name} ${packet.name}`,
    decoded: packet.decoded,
    bytes: Buffer.from(packet.hex, "hex"),
  })),
);
const empty = { id: 0, opcode: 0, rcode: 0, response: false, authoritative: false, truncated: false };

function header(counts: number[]): Buffer {
  const out = Buffer.alloc(12);
  counts.forEach((count, i) => out.writeUInt16BE(count, 4 + 2 * i));
  return out;
}

/** A packet with one question, from the bytes of its name. */
function asking(name: string | Buffer): Buffer {
  return Buffer.concat([header([1, 0, 0, 0]), Buffer.from(name as string, "latin1"), Buffer.from([0, 12, 0, 1])]);
}

/** A packet with one answer at the root name, of `type` with `data`. */
function answering(type: number, data: string, size = data.length): Buffer {
  return Buffer.concat([
    header([0, 1, 0, 0]),
    Buffer.from([0, 0, type, 0, 1, 0, 0, 0, 0, 0, size]),
    Buffer.from(data, "latin1"),
  ]);
}

describe("DNS packets captured from Go's mDNS registry", () => {
  it.each(packets)("$name: read as a second decoder read it", ({ bytes, decoded }) => {
    const packet = decodePacket(bytes);
    expect([packet.id, packet.response, packet.authoritative]).toEqual([
      decoded.id,
      decoded.qr === 1,
      decoded.aa === 1,
    ]);
    expect(packet.questions).toEqual(
      decoded.questions.map(({ name, type, class: c }) => ({ name, type, class: c, unicast: false })),
    );
    for (const section of ["answers", "authority", "additional"] as const)
      expect(packet[section].map(plain)).toEqual(decoded[section].map(plainDecoded));
  });

  it.each(packets)(
    "$name: written as the same bytes, replies compressed, announcements and probes not",
    ({ bytes }) => {
      const packet = decodePacket(bytes);
      const compress = packet.response && packet.questions.length > 0;
      expect(encodePacket(packet, { compress }).toString("hex")).toBe(bytes.toString("hex"));
    },
  );
});

function plain(r: DnsRecord): unknown {
  const { name, class: c, ttl, type } = r;
  const base = { name, class: c, ttl, type };
  if (r.type === "SRV") return { ...base, priority: r.priority, weight: r.weight, port: r.port, target: r.target };
  if (r.type === "PTR") return { ...base, target: r.target };
  if (r.type === "A" || r.type === "AAAA") return { ...base, address: r.address };
  return { ...base, lengths: r.type === "TXT" ? r.strings.map((s) => s.length) : [] };
}

function plainDecoded(r: DecodedRecord): unknown {
  const { json: _json, text: _text, string_lengths, ...rest } = r;
  return string_lengths === undefined ? rest : { ...rest, lengths: string_lengths };
}

describe("DNS names", () => {
  it("keep letter case, and are escaped as miekg/dns prints them", () => {
    const name = String.raw`My\ Node\.1-\195\169.Greeter.micro.`;
    const bytes = encodePacket({ questions: [{ name, type: "PTR" }] });
    expect(bytes.toString("latin1")).toContain("\x0cMy Node.1-\xc3\xa9\x07Greeter\x05micro\0");
    expect(decodePacket(bytes).questions[0]?.name).toBe(name);
    expect(labelsOf(name)).toEqual(["My Node.1-é", "Greeter", "micro"]);
    expect(escapeLabel("My Node.1-é")).toBe(String.raw`My\ Node\.1-\195\169`);
    expect(escapeLabel(`'@;()"\\\n`)).toBe(String.raw`\'\@\;\(\)\"\\\010`);
  });

  it("may be given as plain UTF-8 and without the last dot", () => {
    const encode = (name: string): string => encodePacket({ questions: [{ name, type: "A" }] }).toString("hex");
    expect(encode("é.micro")).toBe(encode(String.raw`\195\169.micro.`));
    expect(encode(String.raw`a\\.micro`)).toBe(encode(String.raw`a\\.micro.`));
    expect(labelsOf(String.raw`a\\.`)).toEqual(["a\\"]);
    expect(decodePacket(encodePacket({ questions: [{ name: ".", type: "A" }] })).questions[0]?.name).toBe(".");
  });

  it("have labels of 63 bytes and 255 bytes in all, more is refused on both ways", () => {
    const ask = (name: string): string => outcome(() => encodePacket({ questions: [{ name, type: "PTR" }] }));
    const label = (n: number): string => "x".repeat(n);
    const long = `${label(63)}.${label(63)}.${label(63)}.`;
    expect([ask(label(63)), ask(label(64)), ask(`${long}${label(61)}.`), ask(`${long}${label(62)}.`)]).toEqual([
      "ok",
      "BAD_REQUEST",
      "ok",
      "BAD_REQUEST",
    ]);
    expect(["a..b", ".a", "a\\", "a\\25", "a\\256.b", `${"é".repeat(32)}.`].map(ask)).toEqual([
      "BAD_REQUEST",
      "BAD_REQUEST",
      "BAD_REQUEST",
      "ok",
      "BAD_REQUEST",
      "BAD_REQUEST",
    ]);
    const wire = (labels: number[]): Buffer =>
      asking(labels.map((n) => String.fromCharCode(n) + label(n)).join("") + "\0");
    expect(outcome(() => decodePacket(wire([63, 63, 63, 61])))).toBe("ok");
    expect(outcome(() => decodePacket(wire([63, 63, 63, 62])))).toBe("PROTOCOL");
  });

  it("follow pointers backwards only, so that none can loop", () => {
    const at = (packet: Buffer): string => outcome(() => decodePacket(packet));
    expect(at(asking("\xc0\x0c"))).toBe("PROTOCOL"); // itself
    expect(at(asking("\xc0\x0e\xc0\x0c"))).toBe("PROTOCOL"); // forwards
    expect(at(asking("\x01a\xc0\x0c"))).toBe("PROTOCOL"); // round and round
    const named = Buffer.from("\x01a\0");
    expect(at(Buffer.concat([asking("\xc0\x12"), named]))).toBe("PROTOCOL"); // forwards, to a good name
    expect(at(Buffer.concat([asking(`\x40${"a".repeat(64)}\0`), named]))).toBe("PROTOCOL"); // label kinds 01 and 10
    expect(at(Buffer.concat([asking(`\x80${"a".repeat(128)}\0`), named]))).toBe("PROTOCOL");
    expect(at(asking("\xc0"))).toBe("PROTOCOL");
    expect(at(asking("\x05abc"))).toBe("PROTOCOL");
    const two = Buffer.concat([
      header([2, 0, 0, 0]),
      Buffer.from("\x01a\0\0\x0c\0\x01\x01b\xc0\x0c\0\x0c\0\x01", "latin1"),
    ]);
    expect(decodePacket(two).questions.map((q) => q.name)).toEqual(["a.", "b.a."]);
  });

  it("follow at most 126 pointers", () => {
    const chain = (n: number): Buffer => {
      // A TYPE99 record of pointers, each to the one before, the first to a root name; then a question cannot come last, so an answer.
      const pointers = Buffer.alloc(2 + 2 * n);
      for (let i = 0; i < n; i++) pointers.writeUInt16BE(0xc000 | (i === 0 ? 23 : 25 + 2 * (i - 1)), 2 + 2 * i);
      const first = Buffer.concat([
        Buffer.from([0, 0, 99, 0, 1, 0, 0, 0, 0, pointers.length >> 8, pointers.length & 255]),
        pointers,
      ]);
      const last = Buffer.alloc(12);
      last.writeUInt16BE(0xc000 | (25 + 2 * (n - 1)), 0);
      last.writeUInt16BE(99, 2);
      return Buffer.concat([header([0, 2, 0, 0]), first, last]);
    };
    expect(outcome(() => decodePacket(chain(125)))).toBe("ok");
    expect(outcome(() => decodePacket(chain(126)))).toBe("PROTOCOL");
  });

  it("are compressed with regard to letter case, and never across 16 KiB", () => {
    const questions = ["a.Micro.", "b.micro.", "c.Micro."].map((name) => ({ name, type: "PTR" }));
    const bytes = encodePacket({ questions });
    expect(decodePacket(bytes).questions.map((q) => q.name)).toEqual(["a.Micro.", "b.micro.", "c.Micro."]);
    expect(bytes.length).toBe(12 + 13 + 13 + 8);
    const answers: DnsRecord[] = Array.from({ length: 400 }, (_, i) => ({
      type: "TXT",
      name: `n${i}.micro.`,
      ttl: 1,
      strings: ["x".repeat(50)],
    }));
    const big = { answers: [...answers, ...answers] };
    expect(encodePacket(big).length).toBeGreaterThan(0x4000);
    expect(decodePacket(encodePacket(big)).answers.map((r) => r.name)).toEqual(big.answers.map((r) => r.name));
  });
});

describe("DNS packets", () => {
  it("carry all header flags, the QU bit and the cache-flush bit", () => {
    const packet: Required<DnsPacket> = {
      id: 0xabcd,
      response: true,
      opcode: 5,
      authoritative: true,
      truncated: true,
      recursionDesired: true,
      recursionAvailable: true,
      rcode: 3,
      questions: [{ name: "a.", type: "ANY", class: 255, unicast: true }],
      answers: [{ type: "A", name: "a.", class: 1, flush: true, ttl: 0xffff, address: "10.0.0.1" }],
      authority: [{ type: "TYPE47", name: "a.", class: 1, flush: false, ttl: 0, data: Buffer.from([1, 2]) }],
      additional: [{ type: "AAAA", name: "a.", class: 1, flush: false, ttl: 1, address: "fe80::1" }],
    };
    expect(decodePacket(encodePacket(packet))).toEqual(packet);
    expect(decodePacket(encodePacket({}))).toMatchObject(empty);
  });

  it("carry IPv6 addresses in any spelling, and give them back in one", () => {
    const text = (address: string): string => {
      const [r] = decodePacket(encodePacket({ answers: [{ type: "AAAA", name: "a.", ttl: 1, address }] })).answers;
      return r?.type === "AAAA" ? r.address : "";
    };
    expect(
      ["::", "::1", "1::", "2001:DB8:0:0:1:0:0:1", "1:0:3:4:5:6:7:8", "::ffff:10.1.2.3", "::1.2.3.4", "ff02::fb"].map(
        text,
      ),
    ).toEqual(["::", "::1", "1::", "2001:db8::1:0:0:1", "1:0:3:4:5:6:7:8", "::ffff:10.1.2.3", "::102:304", "ff02::fb"]);
  });

  it("are refused with BAD_REQUEST when they have no form", () => {
    const answer = (r: Partial<DnsRecord> & { type: string }): string =>
      outcome(() => encodePacket({ answers: [{ name: "a.", ttl: 1, ...r } as DnsRecord] }));
    expect([
      answer({ type: "A", address: "1.2.3" }),
      answer({ type: "A", address: "::1" }),
      answer({ type: "AAAA", address: "1.2.3.4" }),
      answer({ type: "AAAA", address: "fe80::1%eth0" }),
      answer({ type: "TXT", strings: ["x".repeat(256)] }),
      answer({ type: "TXT", strings: ["→"] }),
      answer({ type: "SRV", priority: 1, weight: 1, port: 65_536, target: "a." }),
      answer({ type: "SRV", priority: 1, weight: 1, port: 1.5, target: "a." }),
    ]).toEqual(Array(8).fill("BAD_REQUEST"));
    expect(outcome(() => encodePacket({ questions: [{ name: "a.", type: "MX" }] }))).toBe("BAD_REQUEST");
    expect(outcome(() => encodePacket({ questions: [{ name: "a.", type: "TYPE65536" }] }))).toBe("BAD_REQUEST");
  });

  it("above 64 KiB are PAYLOAD_TOO_LARGE to write, PROTOCOL to read", () => {
    const txt: DnsRecord = { type: "TXT", name: "a.", ttl: 1, strings: Array<string>(200).fill("x".repeat(255)) };
    expect(outcome(() => encodePacket({ answers: [txt] }))).toBe("ok");
    expect(outcome(() => encodePacket({ answers: [txt, txt] }))).toBe("PAYLOAD_TOO_LARGE");
    expect(outcome(() => decodePacket(Buffer.alloc(65_535)))).toBe("ok");
    expect(outcome(() => decodePacket(Buffer.alloc(65_536)))).toBe("PROTOCOL");
  });

  it("cut short, or with records that do not fit, are PROTOCOL", () => {
    for (const { bytes } of packets)
      for (let n = 0; n < bytes.length; n++) expect(outcome(() => decodePacket(bytes.subarray(0, n)))).toBe("PROTOCOL");
    const broken = [
      answering(1, "\x01\x02\x03"),
      answering(1, "\x01\x02\x03\x04\x05"),
      answering(28, "\x01\x02\x03\x04"),
      answering(12, ""),
      answering(12, "\0\0"),
      answering(33, ""),
      answering(33, "\0\0"),
      answering(33, "\0\0\0\0\0\x01"),
      answering(33, "\0\0\0\0\0\x01\0x"),
      answering(16, "\x05ab"),
      answering(99, "ab", 3),
      header([65_535, 0, 0, 0]),
    ];
    for (const bytes of broken) expect(outcome(() => decodePacket(bytes))).toBe("PROTOCOL");
    expect(decodePacket(answering(16, "")).answers[0]).toMatchObject({ type: "TXT", strings: [] });
  });

  it("with more than 1024 questions and records are PROTOCOL", () => {
    const root = Buffer.from([0, 0, 99, 0, 1, 0, 0, 0, 0, 0, 0]);
    const packet = (n: number): Buffer => Buffer.concat([header([0, n - 2, 1, 1]), ...Array<Buffer>(n).fill(root)]);
    expect(outcome(() => decodePacket(packet(1024)))).toBe("ok");
    expect(outcome(() => decodePacket(packet(1025)))).toBe("PROTOCOL");
  });

  it("may have bytes after them, and stand in a larger buffer", () => {
    const { bytes = Buffer.alloc(0) } = packets[3] ?? {};
    const inside = Buffer.concat([Buffer.from("junk"), bytes, Buffer.from("tail")]);
    expect(decodePacket(new Uint8Array(inside).subarray(4))).toEqual(decodePacket(bytes));
  });

  it("random and damaged give a packet or PROTOCOL", () => {
    const judge = (bytes: Uint8Array): void => {
      expect(["ok", "PROTOCOL"]).toContain(outcome(() => decodePacket(bytes)));
    };
    const damaged = (which: number, edits: [number, number][]): void => {
      const bytes = Buffer.from(packets[which]?.bytes ?? "");
      for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
      judge(bytes);
    };
    const small = uint8Array({ maxLength: 40 }).map((body) => Buffer.concat([header([2, 2, 1, 1]), body]));
    const edits = array(
      oneof(integer({ min: 0, max: 160 }), nat(700)).chain((at) =>
        integer({ min: 0, max: 255 }).map((b): [number, number] => [at, b]),
      ),
      {
        minLength: 1,
        maxLength: 5,
      },
    );
    expect(() => assert(property(uint8Array({ maxLength: 100 }), judge), { numRuns: 3000 })).not.toThrow();
    expect(() => assert(property(small, judge), { numRuns: 5000 })).not.toThrow();
    expect(() => assert(property(nat(packets.length - 1), edits, damaged), { numRuns: 3000 })).not.toThrow();
  });

  it("of any content come back as they went, compressed or not", () => {
    const name = array(oneof(string({ minLength: 1, maxLength: 10 }), constantFrom("micro", "Micro", "a")), {
      maxLength: 4,
    }).map((labels) => labels.map((label) => `${escapeLabel(label)}.`).join("") || ".");
    const head = { name, class: constantFrom(1, 255), flush: boolean(), ttl: nat(0x7fff_ffff) };
    const u16 = nat(0xffff);
    const bytes = uint8Array({ maxLength: 255 }).map((b) => Buffer.from(b));
    const anyRecord = oneof(
      record({ ...head, type: constantFrom("A" as const), address: ipV4() }),
      record({ ...head, type: constantFrom("AAAA" as const), address: ipV6() }),
      record({ ...head, type: constantFrom("PTR" as const), target: name }),
      record({ ...head, type: constantFrom("SRV" as const), priority: u16, weight: u16, port: u16, target: name }),
      record({
        ...head,
        type: constantFrom("TXT" as const),
        strings: array(
          bytes.map((b) => b.toString("latin1")),
          { maxLength: 4 },
        ),
      }),
      record({ ...head, type: constantFrom("TYPE47" as const), data: bytes }),
    );
    const packet = record({
      id: u16,
      questions: array(
        record({ name, type: constantFrom("PTR", "ANY", "TYPE99"), class: constantFrom(1, 255), unicast: boolean() }),
        { maxLength: 3 },
      ),
      answers: array(anyRecord, { maxLength: 5 }),
      authority: array(anyRecord, { maxLength: 2 }),
      additional: array(anyRecord, { maxLength: 2 }),
    });
    const back = (original: DnsPacket): void => {
      const first = decodePacket(encodePacket(original, { compress: false }));
      expect(decodePacket(encodePacket(original))).toEqual(first);
      expect(first.questions).toEqual(original.questions);
      const same = (list: DnsRecord[] = []): unknown[] =>
        list.map((r) => (r.type === "AAAA" ? { ...r, address: "" } : r));
      expect(same(first.answers)).toEqual(same(original.answers));
    };
    expect(() => assert(property(packet, back), { numRuns: 500 })).not.toThrow();
  });
});
