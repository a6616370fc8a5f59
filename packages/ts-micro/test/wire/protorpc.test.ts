import { array, assert, bigInt, constantFrom, integer, property, string, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeProtoRpcRequest,
  decodeProtoRpcResponse,
  encodeProtoRpcError,
  encodeProtoRpcRequest,
  encodeProtoRpcResponse,
} from "ts-micro/wire/protorpc";
import { connections } from "./captures.ts";
import { readRequests, readResponses } from "./http1/read.ts";
import { outcome } from "./outcome.ts";

const goldens = connections("v4-proto-rpc");
const requests = goldens.flatMap(({ request }) => readRequests(request).messages.map((m) => m.body));
const responses = goldens.flatMap(({ response }) => readResponses(response).messages.map((m) => m.body));
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("proto-rpc as Go Micro speaks it", () => {
  it("reads the requests of Go clients and writes the same bytes", () => {
    expect(requests.length).toBeGreaterThan(2);
    for (const bytes of requests) {
      const { id, method, body } = decodeProtoRpcRequest(bytes);
      expect(encodeProtoRpcRequest(id, method, body)).toEqual(bytes);
    }
  });

  it("reads the replies of Go servers, errors too, and writes the same bytes", () => {
    expect(responses.length).toBeGreaterThan(2);
    const errors: string[] = [];
    for (const bytes of responses) {
      const { id, error, body } = decodeProtoRpcResponse(bytes);
      if (error !== undefined) errors.push(error);
      expect(error === undefined ? encodeProtoRpcResponse(id, body) : encodeProtoRpcError(error)).toEqual(bytes);
    }
    expect(errors.join()).toContain('"code":404');
  });

  it("writes the worked examples of the specification", () => {
    const john = hex("0a04 4a6f686e");
    expect(encodeProtoRpcRequest("1", "Greeter.Hello", john)).toEqual(
      hex("00000018 0a0d 477265657465722e48656c6c6f 11 0100000000000000 00000006 0a044a6f686e"),
    );
    expect(encodeProtoRpcRequest("0", "Greeter.Hello", john)).toEqual(
      hex("0000000f 0a0d477265657465722e48656c6c6f 00000006 0a044a6f686e"),
    );
    expect(encodeProtoRpcResponse("0", hex("0a0a48656c6c6f204a6f686e"))).toEqual(
      hex("00000000 0000000c 0a0a48656c6c6f204a6f686e"),
    );
    expect(encodeProtoRpcResponse("1", Buffer.alloc(0))).toEqual(hex("00000009 110100000000000000 00000000"));
    expect(encodeProtoRpcError("boom")).toEqual(hex("00000006 1a04626f6f6d 00000000"));
  });

  it("makes seq 0 of an id that is no int64", () => {
    const idOf = (id: string): string => decodeProtoRpcRequest(encodeProtoRpcRequest(id, "", Buffer.alloc(0))).id;
    expect(["", "abc", "1.5", "9223372036854775808", "99999999999999999999", "0x1"].map(idOf)).toEqual(
      Array(6).fill("0"),
    );
    expect(["9223372036854775807", "+7", "-1"].map(idOf)).toEqual(["9223372036854775807", "7", "18446744073709551615"]);
  });

  it("skips header fields it does not know", () => {
    const header = hex(
      "20 ffffffffffffffffff01  2a 02 0102  35 01020304  39 0102030405060708  0a 01 41  11 0500000000000000",
    );
    const length = Buffer.alloc(4);
    length.writeUInt32BE(header.length);
    const bytes = Buffer.concat([length, header, hex("00000000")]);
    expect(decodeProtoRpcRequest(bytes)).toMatchObject({ id: "5", method: "A" });
  });

  it("refuses what is no envelope with BAD_REQUEST", () => {
    const broken = [
      "",
      "000000",
      "00000000",
      "00000001 00000000",
      "00000000 00000001",
      "00000000 00000000 00",
      "ffffffff 00000000",
      "00000001 0a 00000000",
      "00000002 0a05 00000000",
      "00000002 0aff 00000000",
      "00000001 0b 00000000",
      "00000002 0200 00000000",
      "00000003 110000 00000000",
      "0000000b 08ffffffffffffffffffff 00000000",
      "00000006 80808080 80 00 00000000",
    ];
    for (const text of broken)
      for (const decode of [decodeProtoRpcRequest, decodeProtoRpcResponse])
        expect(() => decode(hex(text)), text).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it("says what is wrong with the lengths", () => {
    expect(() => decodeProtoRpcRequest(hex("00000000 00000001"))).toThrow("block longer than the message");
    expect(() => decodeProtoRpcRequest(hex("00000000 00000000 00"))).toThrow("bytes after the body");
    expect(() => decodeProtoRpcRequest(hex("00000000"))).toThrow("block without a length");
  });

  it("answers random and damaged bytes with a value or BAD_REQUEST", () => {
    const judge = (bytes: Uint8Array): void => {
      for (const decode of [decodeProtoRpcRequest, decodeProtoRpcResponse])
        expect(["ok", "BAD_REQUEST"]).toContain(outcome(() => decode(bytes)));
    };
    const damaged = (golden: Buffer, at: number, put: Uint8Array): void => {
      const bytes = Buffer.from(golden);
      bytes.set(put.subarray(0, Math.max(0, bytes.length - (at % bytes.length))), at % bytes.length);
      judge(bytes);
    };
    const header = array(constantFrom(0, 1, 8, 0x0a, 0x11, 0x1a, 0x7f, 0x80, 0xff), { maxLength: 30 });
    expect(() => assert(property(uint8Array({ maxLength: 60 }), judge), { numRuns: 2000 })).not.toThrow();
    expect(() =>
      assert(
        property(constantFrom(...requests, ...responses), integer({ min: 0 }), uint8Array({ maxLength: 4 }), damaged),
        { numRuns: 3000 },
      ),
    ).not.toThrow();
    expect(() =>
      assert(
        property(header, (bytes) =>
          judge(Buffer.concat([Buffer.from([0, 0, 0, bytes.length, ...bytes]), hex("00000000")])),
        ),
        { numRuns: 3000 },
      ),
    ).not.toThrow();
  });

  it("gives back any id, method, error and body", () => {
    const back = (seq: bigint, method: string, bytes: Uint8Array): void => {
      const id = seq.toString();
      const request = decodeProtoRpcRequest(encodeProtoRpcRequest(id, method, bytes));
      expect([request.id, request.method, Buffer.compare(request.body, bytes)]).toEqual([id, method, 0]);
      expect(decodeProtoRpcResponse(encodeProtoRpcError(`x${method}`)).error).toBe(`x${method}`);
    };
    const ids = bigInt({ min: 0n, max: 2n ** 63n - 1n });
    expect(() =>
      assert(property(ids, string({ unit: "grapheme" }), uint8Array({ maxLength: 300 }), back)),
    ).not.toThrow();
    expect(decodeProtoRpcRequest(encodeProtoRpcRequest("1", "m".repeat(300), Buffer.alloc(0))).method).toBe(
      "m".repeat(300),
    );
  });
});
