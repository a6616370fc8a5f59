import { array, assert, constantFrom, jsonValue, property, string, tuple, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { goJsonDecode } from "ts-micro/wire/go-json";
import {
  decodeJsonRpcEvent,
  decodeJsonRpcRequest,
  decodeJsonRpcResponse,
  encodeJsonRpcError,
  encodeJsonRpcEvent,
  encodeJsonRpcRequest,
  encodeJsonRpcResponse,
} from "ts-micro/wire/jsonrpc";
import { captureNames, connections } from "./captures.ts";
import { readRequests, readResponses } from "./http1/read.ts";
import { outcome } from "./outcome.ts";

const goldens = captureNames(/json-rpc/).flatMap(connections);
const requests = goldens.flatMap(({ request }) => readRequests(request).messages.map((m) => m.body.toString()));
const responses = goldens.flatMap(({ response }) => readResponses(response).messages.map((m) => m.body.toString()));

describe("JSON-RPC 1.0 as Go Micro speaks it", () => {
  it("reads the requests of Go clients and writes the same bytes", () => {
    expect(requests.length).toBeGreaterThan(4);
    for (const body of requests) {
      const { id, method, body: value } = decodeJsonRpcRequest(body);
      expect(encodeJsonRpcRequest(id, method, value)).toBe(body);
    }
    expect(decodeJsonRpcRequest(requests[0] ?? "")).toEqual({
      id: "0",
      method: "Greeter.Hello",
      body: { name: "John" },
    });
  });

  it("reads the replies of Go servers, errors too, and writes the same bytes", () => {
    expect(responses.length).toBeGreaterThan(4);
    let failed = 0;
    for (const body of responses) {
      const { id, error, body: value } = decodeJsonRpcResponse(body);
      if (error !== undefined) failed++;
      expect(error === undefined ? encodeJsonRpcResponse(id, value) : encodeJsonRpcError(error, id)).toBe(body);
    }
    expect(failed).toBeGreaterThan(0);
    expect(decodeJsonRpcResponse(responses[0] ?? "")).toEqual({
      id: "0",
      error: undefined,
      body: { msg: "Hello John" },
    });
  });

  it("puts an error beside a null result with an empty id", () => {
    expect(encodeJsonRpcError("<boom>")).toBe('{"id":"","result":null,"error":"\\u003cboom\\u003e"}\n');
  });

  it("sends events bare, without a newline", () => {
    expect(encodeJsonRpcEvent({ name: "John" })).toBe('{"name":"John"}');
    expect(decodeJsonRpcEvent('{"name":"John"}')).toEqual({ name: "John" });
  });

  it("takes any scalar as id, as text", () => {
    const idOf = (id: string): string => decodeJsonRpcRequest(`{"params":[null],"id":${id}}`).id;
    expect(['"a"', "12345678", "9007199254740993", "true", "null"].map(idOf)).toEqual([
      "a",
      "12345678",
      "9007199254740993",
      "true",
      "",
    ]);
    expect(decodeJsonRpcRequest('{"params":[1]}')).toEqual({ id: "", method: "", body: 1 });
  });

  it("takes a missing error as null, and empty text as unspecified", () => {
    expect(decodeJsonRpcResponse('{"id":"1","result":2}')).toEqual({ id: "1", error: undefined, body: 2 });
    expect(decodeJsonRpcResponse("{}")).toEqual({ id: "", error: undefined, body: null });
    expect(decodeJsonRpcResponse('{"id":"1","result":2,"error":""}').error).toBe("unspecified error");
  });

  it("refuses what is no envelope with BAD_REQUEST", () => {
    const bad = expect.objectContaining({ code: "BAD_REQUEST" });
    for (const body of [
      "",
      "[]",
      "null",
      "1",
      '{"params":[]}',
      '{"params":{}}',
      '{"params":null}',
      "{}",
      '{"params":[1],"method":1}',
      '{"params":[1],"id":{}}',
    ])
      expect(() => decodeJsonRpcRequest(body)).toThrow(bad);
    for (const body of ["", "[]", "null", '{"error":1}', '{"error":{"message":"x"}}', '{"error":false}', '{"id":[]}'])
      expect(() => decodeJsonRpcResponse(body)).toThrow(bad);
  });

  it("answers random and damaged bytes with a value or BAD_REQUEST", () => {
    const judge = (bytes: Uint8Array): void => {
      for (const decode of [decodeJsonRpcRequest, decodeJsonRpcResponse, decodeJsonRpcEvent])
        expect(["ok", "BAD_REQUEST"]).toContain(outcome(() => decode(bytes)));
    };
    const members = array(tuple(constantFrom("id", "method", "params", "result", "error", "x"), jsonValue()));
    expect(() => assert(property(uint8Array(), judge), { numRuns: 1000 })).not.toThrow();
    expect(() =>
      assert(
        property(members, (list) => judge(Buffer.from(JSON.stringify(Object.fromEntries(list))))),
        { numRuns: 2000 },
      ),
    ).not.toThrow();
  });

  it("gives back any id, method and body", () => {
    const back = (id: string, method: string, value: unknown): void => {
      const json = JSON.stringify(value);
      if (json.includes("__proto__")) return;
      const body = goJsonDecode(json); // large numbers as that reader gives them
      expect(decodeJsonRpcRequest(encodeJsonRpcRequest(id, method, body))).toEqual({ id, method, body });
      expect(decodeJsonRpcResponse(encodeJsonRpcResponse(id, body))).toEqual({ id, error: undefined, body });
    };
    expect(() => assert(property(string(), string(), jsonValue(), back), { numRuns: 2000 })).not.toThrow();
  });
});
