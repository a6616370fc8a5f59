import { describe, expect, it } from "vitest";
import { bytesCodec } from "../../src/codec/bytes.ts";
import { codecSuite } from "../../src/testing/codec.ts";
import { conversation, nth } from "./captured.ts";

codecSuite(
  { describe, it },
  {
    name: "bytes",
    create: bytesCodec,
    samples: [{ value: Buffer.from([0, 1, 254, 255]) }, { value: Buffer.alloc(0) }],
    unencodable: [{ value: "text" }, { value: undefined }, { value: null }, { value: { a: 1 } }, { value: [1] }],
  },
);

describe("bytes", () => {
  it("passes the captured octet-stream body through untouched", () => {
    const codec = bytesCodec();
    const { requests, replies } = conversation("v4-octet-stream");
    const body = nth(requests, 0).body;
    expect(codec.encode(codec.decode(body))).toBe(body);
    expect(Buffer.from(nth(replies, 0).body).equals(body)).toBe(true);
  });
});
