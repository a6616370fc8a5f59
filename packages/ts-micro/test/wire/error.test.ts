import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MicroError, errors, isMicroError } from "../../src/errors.ts";
import { decodeError, encodeError } from "../../src/wire/error.ts";

describe("Micro-Error text", () => {
  it.each([
    [errors.badRequest, 400, "Bad Request"],
    [errors.unauthorized, 401, "Unauthorized"],
    [errors.forbidden, 403, "Forbidden"],
    [errors.notFound, 404, "Not Found"],
    [errors.methodNotAllowed, 405, "Method Not Allowed"],
    [errors.timeout, 408, "Request Timeout"],
    [errors.conflict, 409, "Conflict"],
    [errors.internal, 500, "Internal Server Error"],
  ])("is Go's JSON for each of its helpers (%#)", (make, code, status) => {
    expect(encodeError(make("greeter", "so-so"))).toBe(
      `{"id":"greeter","code":${code},"detail":"so-so","status":"${status}"}`,
    );
  });

  it("leaves empty members out and escapes as Go", () => {
    expect(encodeError(new MicroError({ id: "a", status: 799, detail: "<&>\u2028" }))).toBe(
      '{"id":"a","code":799,"detail":"\\u003c\\u0026\\u003e\\u2028"}',
    );
    expect(encodeError(new MicroError({ id: "a", status: 500, detail: "" }))).toBe(
      '{"id":"a","code":500,"status":"Internal Server Error"}',
    );
  });

  it("keeps the text of an error that was plain", () => {
    const error = decodeError("rpc: can't find method Nope");
    expect(error).toMatchObject({ id: "", status: 0, code: "NOT_FOUND" });
    expect(encodeError(error)).toBe("rpc: can't find method Nope");
    expect(decodeError("boom")).toMatchObject({ id: "", status: 0, code: "INTERNAL", detail: "boom" });
  });

  it("reads the errors that Go servers were recorded sending", () => {
    const capture = JSON.parse(
      readFileSync(new URL("../fixtures/wire/v4-errors-micro.json", import.meta.url), "utf8"),
    ) as {
      exchanges: { dir: string; hex?: string }[];
      more_connections: { dir: string; hex?: string }[][];
    };
    const replies = [capture.exchanges, ...capture.more_connections].flat().filter(({ dir }) => dir === "s>c");
    const text = replies.map(({ hex }) => Buffer.from(hex ?? "", "hex").toString("utf8")).join("");
    const found = [...text.matchAll(/^Micro-Error: (.*)\r$/gm)].map((match) => match[1] as string);
    expect(found.length).toBeGreaterThan(3);
    for (const each of found) {
      const error = decodeError(each);
      if (each.startsWith('{"id"')) expect(error.id).not.toBe("");
      expect(encodeError(error)).toBe(each);
    }
  });

  it("keeps JSON that is not Go's as the detail", () => {
    for (const text of ['{"errors":[]}', "{}", "{bad", '{"id":3}']) expect(decodeError(text).detail).toBe(text);
  });

  it("decodes any text to a MicroError, and what it encodes comes back", () => {
    fc.assert(fc.property(fc.string(), (text) => isMicroError(decodeError(text))));
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.integer({ min: 400, max: 599 }),
        fc.string({ minLength: 1 }),
        (id, status, detail) => {
          expect(decodeError(encodeError(new MicroError({ id, status, detail })))).toMatchObject({
            id,
            status,
            detail,
          });
        },
      ),
    );
  });
});
