import { describe, expect, it } from "vitest";
import {
  encodeRequest,
  encodeRequestHead,
  encodeResponse,
  encodeResponseHead,
  precompile,
} from "ts-micro/wire/http1/encode";
import { headerList, headerRecord, headerValue } from "ts-micro/wire/http1/headers";
import { connections } from "../captures.ts";
import { readRequests, readResponses } from "./read.ts";

describe("HTTP/1.1 encoding", () => {
  it("writes a request as a Go client does, Content-Length last", () => {
    const golden = connections("v4-unary-json")[0]?.request.toString("latin1").split("POST ")[1] ?? "";
    const [head = "", body = ""] = `POST ${golden}`.split("\r\n\r\n");
    const [start, host, agent, length, ...rest] = head.split("\r\n");
    const headers = rest.flatMap((line) => line.split(": "));
    const encoded = encodeRequest({
      host: host?.slice(6) ?? "",
      block: precompile(["User-Agent", agent?.slice(12) ?? ""]),
      headers,
      body,
    });
    expect(encoded.toString()).toBe([start, host, agent, ...rest, length, "", body].join("\r\n"));
  });

  it("writes a response of 200 with Content-Length, also for an empty body", () => {
    expect(encodeResponse({}).toString()).toBe("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect(encodeResponse({ headers: ["Content-Type", "text/plain"], body: "ö" }).toString()).toBe(
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nö",
    );
  });

  it("gives the head alone for a body that is written apart, the same bytes together", () => {
    const headers = ["X-Ü", "dropped", "X-Name", "Grüße"];
    const body = Buffer.from("body");
    expect(Buffer.concat([encodeRequestHead({ host: "x", headers }, 4), body])).toEqual(
      encodeRequest({ host: "x", headers, body }),
    );
    expect(Buffer.concat([encodeResponseHead({ headers }, 4), body])).toEqual(encodeResponse({ headers, body }));
  });

  it("sends values as UTF-8 and reads the same text back, with text and with byte bodies", () => {
    const headers = ["X-Latin", "é", "X-Wide", "日本 🎉", "X-Ascii", "a"];
    for (const body of ["wörld", Buffer.from("wörld")]) {
      const { messages } = readResponses(encodeResponse({ headers, body }));
      expect(messages[0]?.headers.slice(0, 6)).toEqual(headers);
      expect(messages[0]?.body.toString()).toBe("wörld");
    }
  });

  it("makes names canonical and drops names that are no tokens, as Go does", () => {
    const headers = ["micro-id", "1", "x y", "2", "", "3", "ü", "4", "a:b", "5", "n\r\nX", "6", "X_y-Zz", "7"];
    expect(readRequests(encodeRequest({ host: "h", headers })).messages[0]?.headers).toEqual([
      "Host",
      "h",
      "Micro-Id",
      "1",
      "X_y-Zz",
      "7",
      "Content-Length",
      "0",
    ]);
  });

  it("takes headers as a record too, own entries only", () => {
    const record = Object.assign(Object.create({ inherited: "1" }) as Record<string, string>, {
      "micro-id": "7",
      A: "b",
    });
    expect(encodeResponse({ headers: record })).toEqual(encodeResponse({ headers: ["Micro-Id", "7", "A", "b"] }));
    expect(precompile(record)).toEqual(precompile(["Micro-Id", "7", "A", "b"]));
  });

  it("turns control characters in values, host and precompiled headers into blanks: nothing can be injected", () => {
    const evil = "a\r\nX-Evil: 1\r\n\r\nGET /\0\x7f\x1b";
    const { messages, code } = readRequests(
      encodeRequest({ host: evil, block: precompile(["X-B", evil]), headers: ["X-A", evil] }),
    );
    const clean = "a  X-Evil: 1    GET /";
    expect(code).toBeUndefined();
    expect(messages.map((m) => m.headers)).toEqual([
      ["Host", clean, "X-B", clean, "X-A", clean, "Content-Length", "0"],
    ]);
  });

  it("does not let headers frame the message", () => {
    const headers = ["content-length", "99", "Transfer-Encoding", "chunked", "Trailer", "X", "Host", "evil", "A", "1"];
    expect(readRequests(encodeRequest({ host: "h", headers, body: "b" })).messages[0]?.headers).toEqual([
      "Host",
      "h",
      "A",
      "1",
      "Content-Length",
      "1",
    ]);
    expect(readResponses(encodeResponse({ headers, body: "b" })).messages[0]?.headers).toEqual([
      "A",
      "1",
      "Content-Length",
      "1",
    ]);
  });

  it("refuses a method or target that would break the request line", () => {
    for (const broken of [{ method: "PO ST" }, { method: "" }, { target: "/a b" }, { target: "" }, { target: "/\r\n" }])
      expect(() => encodeRequest({ host: "h", ...broken })).toThrow("illegal request method or target");
    expect(encodeRequest({ host: "h", method: "GET", target: "/x?y" }).toString()).toMatch(
      /^GET \/x\?y HTTP\/1\.1\r\n/,
    );
  });

  it("keeps lone surrogates from breaking the length", () => {
    const { messages, code } = readRequests(encodeRequest({ host: "h", headers: ["A", "\ud800"], body: "\udc00x" }));
    expect([code, messages[0]?.body.length]).toEqual([undefined, 4]);
  });
});

describe("header lists", () => {
  it("look up, convert and come from records and pairs; the first of a repeated name wins", () => {
    const list = ["A", "1", "B", "2", "A", "3"];
    expect([headerValue(list, "A"), headerValue(list, "B"), headerValue(list, "C")]).toEqual(["1", "2", undefined]);
    expect({ ...headerRecord(list) }).toEqual({ A: "1", B: "2" });
    expect(headerList({ A: "1", B: "2" })).toEqual(["A", "1", "B", "2"]);
    expect(headerList(new Map([["A", "1"]]))).toEqual(["A", "1"]);
  });

  it("a record made of them has no prototype to be polluted or mistaken for a header", () => {
    const record = headerRecord(["__proto__", "x", "A", "1"]);
    expect(Object.getPrototypeOf(record)).toBeNull();
    expect(Object.keys(record)).toEqual(["__proto__", "A"]);
    expect(record["constructor"]).toBeUndefined();
  });
});
