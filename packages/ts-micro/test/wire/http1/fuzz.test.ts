import {
  type Arbitrary,
  array,
  assert,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
  string,
  tuple,
  uint8Array,
} from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeRequest, encodeResponse } from "ts-micro/wire/http1/encode";
import { captureNames, connections } from "../captures.ts";
import { readRequests, readResponses } from "./read.ts";

const goldens = captureNames(/^v\d-(?!mdns)/).flatMap(connections);
const small = { maxHeadBytes: 4096, maxBodyBytes: 4096, maxHeaders: 50, maxStartLineBytes: 100 };
const words = [
  "POST / HTTP/1.1\r\n",
  "HTTP/1.1 200 OK\r\n",
  "Content-Length: ",
  "Transfer-Encoding: chunked",
  "\r\n",
  "\r\n\r\n",
  "\n",
  "\r",
  "0\r\n\r\n",
  "5\r\n",
  "hello",
  "Connection: close",
  ":",
  " ",
  "\t",
  "a: b\r\n",
  "ffffffffffffffff\r\n",
  "HTTP/1.1 100 \r\n\r\n",
  "\0",
  "é",
];

const mutated = (pick: "request" | "response"): Arbitrary<Buffer> =>
  record({
    from: nat(goldens.length - 1),
    edits: array(tuple(nat(1200), nat(30), oneof(uint8Array({ maxLength: 4 }), constantFrom(...words))), {
      minLength: 1,
      maxLength: 4,
    }),
  }).map(({ from, edits }) => {
    let bytes = goldens[from]?.[pick] ?? Buffer.alloc(0);
    for (const [at, cut, put] of edits) {
      const insert = typeof put === "string" ? Buffer.from(put, "latin1") : Buffer.from(put);
      bytes = Buffer.concat([
        bytes.subarray(0, at % (bytes.length + 1)),
        insert,
        bytes.subarray((at % (bytes.length + 1)) + cut),
      ]);
    }
    return bytes;
  });

const grammar = array(oneof({ weight: 8, arbitrary: constantFrom(...words) }, string({ maxLength: 5 })), {
  maxLength: 25,
}).map((parts) => Buffer.from(parts.join(""), "latin1"));

// The readers throw on anything but a MicroError. Cutting the input elsewhere may change which rule speaks first, nothing else.
function agree(bytes: Buffer, size: number): void {
  for (const read of [readRequests, readResponses]) {
    const whole = read(bytes, Infinity, small);
    const pieces = read(bytes, size, small);
    expect(pieces.messages).toEqual(whole.messages);
    expect(read(bytes, size, small, true)).toEqual(pieces);
    expect(pieces.code === undefined).toBe(whole.code === undefined);
    expect([undefined, "PROTOCOL", "PAYLOAD_TOO_LARGE"]).toContain(whole.code);
    for (const message of whole.messages) expect(message.body.length).toBeLessThanOrEqual(small.maxBodyBytes);
  }
}

describe("hostile bytes", () => {
  it("random bytes give MicroErrors only, the same however they are cut", () => {
    expect(() =>
      assert(
        property(uint8Array({ maxLength: 300 }), integer({ min: 1, max: 9 }), (bytes, size) =>
          agree(Buffer.from(bytes), size),
        ),
        {
          numRuns: 3000,
        },
      ),
    ).not.toThrow();
  });

  it("pieces of HTTP in any order give MicroErrors only, the same however they are cut", () => {
    expect(() => assert(property(grammar, integer({ min: 1, max: 9 }), agree), { numRuns: 4000 })).not.toThrow();
  });

  it("damaged goldens give MicroErrors only, the same however they are cut", () => {
    for (const pick of ["request", "response"] as const)
      expect(() =>
        assert(property(mutated(pick), integer({ min: 1, max: 50 }), agree), { numRuns: 1500 }),
      ).not.toThrow();
  });
});

describe("any headers and any body", () => {
  const text = oneof(string({ unit: "grapheme" }), string({ unit: "binary" }), string());
  const headers = array(text, { maxLength: 20 });
  it("encode to exactly one message with that body", () => {
    expect(() =>
      assert(
        property(text, headers, uint8Array({ maxLength: 200 }), (host, list, body) => {
          const requests = readRequests(encodeRequest({ host, headers: list, body }));
          const responses = readResponses(encodeResponse({ headers: list, body }), 3, undefined, true);
          for (const { messages, code } of [requests, responses]) {
            expect([code, messages.length]).toEqual([undefined, 1]);
            expect(Buffer.compare(messages[0]?.body ?? Buffer.from("none"), body)).toBe(0);
          }
        }),
        { numRuns: 2000 },
      ),
    ).not.toThrow();
  });
});
