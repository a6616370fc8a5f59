import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { EmptySchema, HelloRequestSchema, HelloResponseSchema } from "../../../../interop/proto/gen/greeter_pb.ts";
import { protoRpcCodec } from "../../src/codec/proto-rpc.ts";
import type { Codec, Envelope } from "../../src/codec.ts";
import { conversation, nth } from "./captured.ts";

const john = create(HelloRequestSchema, { name: "John" });

describe("proto-rpc", () => {
  it("writes and reads the captured exchange", async () => {
    const codec = await ready(protoRpcCodec());
    const { requests, replies } = conversation("v4-proto-rpc");
    const envelope: Envelope = { type: "request", id: "0", endpoint: "Greeter.Hello" };
    const body = codec.encode({ name: "John" }, HelloRequestSchema, envelope);
    expect(Buffer.from(body).toString("hex")).toBe(Buffer.from(nth(requests, 0).body).toString("hex"));
    const found: Envelope = { type: "response", id: "", endpoint: "" };
    expect(codec.decode(nth(replies, 0).body, HelloResponseSchema, found)).toMatchObject({ msg: "Hello John" });
    const failed: Envelope = { type: "response", id: "", endpoint: "" };
    codec.decode(nth(replies, 2).body, HelloResponseSchema, failed);
    expect(failed).toMatchObject({ type: "error", error: nth(replies, 2).header["Micro-Error"] });
    const empty = codec.encode({}, EmptySchema, { type: "response", id: "1", endpoint: "" });
    expect(Buffer.from(empty).equals(nth(replies, 1).body)).toBe(true);
  });

  it("gives an event the bare message", async () => {
    const codec = await ready(protoRpcCodec());
    const body = codec.encode(john, HelloRequestSchema, { type: "event", id: "", endpoint: "news" });
    expect(Buffer.from(body).equals(toBinary(HelloRequestSchema, john))).toBe(true);
  });
});

async function ready(codec: Codec): Promise<Codec> {
  await codec.load?.();
  return codec;
}
