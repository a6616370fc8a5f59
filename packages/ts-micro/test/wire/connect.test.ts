import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MicroError, errors, type ErrorCode } from "../../src/errors.ts";
import { connectStatus, encodeConnectEnd, encodeConnectError } from "../../src/wire/connect/error.ts";
import { connectQuery, connectTimeout, connectType } from "../../src/wire/connect/request.ts";
import { outcome } from "./outcome.ts";

describe("an error", () => {
  // https://connectrpc.com/docs/protocol#error-codes
  it.each<[ErrorCode, string, number]>([
    ["BAD_REQUEST", "invalid_argument", 400],
    ["UNAUTHORIZED", "unauthenticated", 401],
    ["FORBIDDEN", "permission_denied", 403],
    ["NOT_FOUND", "not_found", 404],
    ["METHOD_NOT_ALLOWED", "unimplemented", 501],
    ["TIMEOUT", "deadline_exceeded", 504],
    ["CANCELLED", "canceled", 499],
    ["CONFLICT", "already_exists", 409],
    ["PAYLOAD_TOO_LARGE", "resource_exhausted", 429],
    ["RESOURCE_EXHAUSTED", "resource_exhausted", 429],
    ["STORE_LOCKED", "failed_precondition", 400],
    ["UNAVAILABLE", "unavailable", 503],
    ["DRAINING", "unavailable", 503],
    ["UNSUPPORTED", "unimplemented", 501],
    ["INTERNAL", "internal", 500],
  ])("%s is %s with status %i", (code, name, status) => {
    const error = new MicroError({ id: "greeter", code, detail: "why" });
    expect(JSON.parse(encodeConnectError(error).toString())).toMatchObject({ code: name, message: "why" });
    expect(connectStatus(error)).toBe(status);
  });

  it("with a number of the user's own is unknown, but for Go's 412", () => {
    expect(connectStatus(new MicroError({ status: 418, detail: "tea" }))).toBe(500);
    const { code } = JSON.parse(encodeConnectError(new MicroError({ status: 412, detail: "" })).toString()) as {
      code: string;
    };
    expect(code).toBe("failed_precondition");
  });

  it("that came as plain text has no details", () => {
    const error = new MicroError({ id: "", status: 0, detail: "eof" });
    expect(encodeConnectError(error).toString()).toBe('{"code":"unknown","message":"eof"}');
  });

  it("ends a stream beside the trailers", () => {
    expect(encodeConnectEnd(undefined, {}).toString()).toBe("{}");
    expect(encodeConnectEnd(undefined, { "x-a": "1" }).toString()).toBe('{"metadata":{"x-a":["1"]}}');
    expect(JSON.parse(encodeConnectEnd(errors.notFound("a", "b"), {}).toString())).toMatchObject({
      error: { code: "not_found" },
    });
  });
});

describe("a request", () => {
  it("says by its content type what it is", () => {
    expect(connectType("application/connect+proto")).toMatchObject({ codec: "application/protobuf", stream: true });
    expect(connectType("application/json;charset=utf-8")).toMatchObject({ codec: "application/json", stream: false });
    for (const other of [undefined, "", "text/plain", "application/connect", "application/grpc", "__proto__"])
      expect(connectType(other)).toBeUndefined();
  });

  it("has ten digits of time at most", () => {
    expect([connectTimeout(undefined), connectTimeout("0"), connectTimeout("9999999999")]).toEqual([
      Infinity,
      0,
      9999999999,
    ]);
    for (const wrong of ["", "-1", "1.5", "1s", "10000000000", " 1", "1e3"])
      expect(() => connectTimeout(wrong)).toThrow(/invalid/);
  });

  it("whatever it holds, is read or refused with a MicroError", () => {
    const piece = fc.constantFrom(
      "connect=v1",
      "encoding=json",
      "encoding=proto",
      "base64=1",
      "message=",
      "&",
      "%",
      "%ff",
      "=",
      "e30",
      "compression=gzip",
    );
    const query = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.array(piece).map((pieces) => pieces.join("&")),
    );
    fc.assert(
      fc.property(query, fc.string(), (text, header) => {
        let length = 0;
        expect(outcome(() => (length = connectQuery(text).message.length))).toMatch(/^(ok|BAD_REQUEST|UNSUPPORTED)$/);
        expect(length).toBeLessThanOrEqual(3 * text.length);
        expect(outcome(() => connectTimeout(header))).toMatch(/^(ok|BAD_REQUEST)$/);
        expect(outcome(() => connectType(header))).toBe("ok");
      }),
      { numRuns: 2000 },
    );
  });
});
