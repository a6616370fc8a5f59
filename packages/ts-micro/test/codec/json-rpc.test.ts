import { describe, expect, it } from "vitest";
import { jsonRpcCodec } from "../../src/codec/json-rpc.ts";
import type { Envelope } from "../../src/codec.ts";
import { conversation, nth } from "./captured.ts";

describe("json-rpc", () => {
  const codec = jsonRpcCodec();
  const talk = conversation("v4-json-rpc");

  it("writes the captured requests and reads the captured replies", () => {
    const { requests, replies } = talk;
    const body = codec.encode({ name: "John" }, undefined, { type: "request", id: "0", endpoint: "Greeter.Hello" });
    expect(Buffer.from(body).equals(nth(requests, 0).body)).toBe(true);
    const found: Envelope = { type: "response", id: "", endpoint: "" };
    expect(codec.decode(nth(replies, 0).body, undefined, found)).toEqual({ msg: "Hello John" });
    expect(found.id).toBe("0");
  });

  it("reads the captured requests and writes the captured replies, errors included", () => {
    const { requests, replies } = talk;
    const found: Envelope = { type: "request", id: "", endpoint: "" };
    expect(codec.decode(nth(requests, 0).body, undefined, found)).toEqual({ name: "John" });
    expect(found).toMatchObject({ id: "0", endpoint: "Greeter.Hello" });
    const reply = codec.encode({ msg: "Hello John" }, undefined, { ...found, type: "response" });
    expect(Buffer.from(reply).equals(nth(replies, 0).body)).toBe(true);
    const error = nth(replies, 2).header["Micro-Error"] ?? "";
    const written = codec.encode(undefined, undefined, { type: "error", id: "2", endpoint: "", error });
    expect(Buffer.from(written).toString()).toBe(Buffer.from(nth(replies, 2).body).toString());
  });

  it("keeps the endpoint of the headers when the envelope names none, and refuses a missing params", () => {
    const found: Envelope = { type: "request", id: "", endpoint: "Greeter.Hello" };
    codec.decode(Buffer.from('{"params":[{}],"id":1}'), undefined, found);
    expect(found).toMatchObject({ id: "1", endpoint: "Greeter.Hello" });
    expect(codeOf(() => codec.decode(Buffer.from('{"id":"1","method":"A.B"}'), undefined, found))).toBe("BAD_REQUEST");
  });
});

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "no error";
}
