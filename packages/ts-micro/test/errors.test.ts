import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  MicroError,
  codeOf,
  errors,
  fromUnknown,
  grpcStatusOf,
  isMicroError,
  statusOf,
  type ErrorCode,
} from "../src/errors.ts";

const codes = Object.keys(errors).map((key) => errors[key as keyof typeof errors]("id", "detail").code);

describe("MicroError", () => {
  it("has a maker for every code, each with a status and a gRPC status", () => {
    expect(new Set(codes).size).toBe(21);
    for (const code of codes) {
      expect(statusOf(code)).toBeGreaterThanOrEqual(400);
      expect(grpcStatusOf(code)).toBeGreaterThan(0);
    }
  });

  it("derives the status from the code and the code from the status", () => {
    expect(errors.conflict("a", "b")).toMatchObject({ id: "a", detail: "b", code: "CONFLICT", status: 409 });
    expect(new MicroError({ detail: "x", status: 404 }).code).toBe("NOT_FOUND");
    expect(new MicroError({ detail: "x" })).toMatchObject({ code: "INTERNAL", status: 500 });
  });

  it("has text for its id and a whole number of 32 bits for its status, whatever it is made from", () => {
    expect(errors.notFound(42 as unknown as string, "no such user")).toMatchObject({ id: "42", status: 404 });
    for (const status of [NaN, 404.5, Infinity, 2 ** 31, "404" as unknown as number])
      expect(new MicroError({ detail: "x", code: "CONFLICT", status })).toMatchObject({
        code: "CONFLICT",
        status: 409,
      });
    expect(new MicroError({ detail: "x", status: NaN })).toMatchObject({ code: "INTERNAL", status: 500 });
    expect(new MicroError({ detail: "x", status: -7 })).toMatchObject({ code: "INTERNAL", status: -7 });
  });

  it("gives a status outside the table the code of its class", () => {
    expect(codeOf(418)).toBe("BAD_REQUEST");
    expect(codeOf(502)).toBe("INTERNAL");
    expect(codeOf(0)).toBe("INTERNAL");
  });

  it("takes the common code for each status that several share", () => {
    const common: Record<number, ErrorCode> = { 500: "INTERNAL", 503: "UNAVAILABLE" };
    for (const [status, code] of Object.entries(common)) expect(codeOf(Number(status))).toBe(code);
  });

  it("is recognised across copies of the package, and nothing else is", () => {
    const foreign = { [Symbol.for("ts-micro.error")]: true, code: "CONFLICT" };
    expect(isMicroError(foreign)).toBe(true);
    expect(isMicroError(errors.timeout("a", "b"))).toBe(true);
    for (const other of [new Error("x"), null, undefined, "text", { code: "CONFLICT" }])
      expect(isMicroError(other)).toBe(false);
  });

  it("keeps the cause, and shows no local facts in JSON", () => {
    const cause = new Error("below");
    const error = errors.internal("svc", "above", cause);
    error.attempts = 3;
    expect(error.cause).toBe(cause);
    expect(JSON.parse(JSON.stringify(error))).toEqual({ id: "svc", code: "INTERNAL", status: 500, detail: "above" });
  });
});

describe("fromUnknown", () => {
  it("returns a MicroError as it is, and gives an id to one that has none", () => {
    const error = errors.conflict("svc", "taken");
    expect(fromUnknown(error, "other")).toBe(error);
    expect(fromUnknown(new MicroError({ detail: "plain", status: 0 }), "svc")).toMatchObject({
      id: "svc",
      status: 500,
      detail: "plain",
    });
  });

  it("reads AbortError as CANCELLED and TimeoutError as TIMEOUT", () => {
    expect(fromUnknown(new DOMException("stop", "AbortError")).code).toBe("CANCELLED");
    expect(fromUnknown(new DOMException("late", "TimeoutError")).code).toBe("TIMEOUT");
  });

  it("makes a MicroError of any value whatever", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const error = fromUnknown(value, "svc");
        expect(isMicroError(error)).toBe(true);
        expect(typeof error.detail).toBe("string");
      }),
    );
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    expect(fromUnknown(circular).detail).toBe("[object Object]");
    expect(fromUnknown({ message: "no", headers: { authorization: "secret" } }).detail).toBe("no");
    expect(fromUnknown([{ token: "secret" }]).detail).toBe("[object Array]");
  });
});
