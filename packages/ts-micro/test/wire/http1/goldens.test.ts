import { describe, expect, it } from "vitest";
import { encodeRequest, encodeResponse } from "ts-micro/wire/http1/encode";
import { captureNames, connections } from "../captures.ts";
import { readRequests, readResponses } from "./read.ts";

const all = captureNames(/^v\d-(?!mdns|grpc|transport-grpc)/).flatMap(connections);

/** A second, naive reading of well-formed bytes: lines split at CRLF, body by Content-Length, one chunk, or all the rest. */
function naive(bytes: Buffer): { start: string; headers: [string, string][]; body: string }[] {
  const out = [];
  let text = bytes.toString("latin1");
  while (text !== "") {
    const end = text.indexOf("\r\n\r\n");
    const [start = "", ...lines] = text.slice(0, end).split("\r\n");
    text = text.slice(end + 4);
    const headers: [string, string][] = [];
    for (const line of lines) {
      const [, name = "", value = ""] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
      const canonical = name.replace(/(^|-)([a-z])/g, (_, dash: string, c: string) => dash + c.toUpperCase());
      if (headers.some(([known]) => known === canonical)) continue;
      headers.push([canonical, Buffer.from(value.trim(), "latin1").toString()]);
    }
    const chunked = headers.some(([name]) => name === "Transfer-Encoding");
    const untilClose =
      headers.some(([name, value]) => name === "Connection" && value === "close") && start.startsWith("HTTP");
    const length = headers.find(([name]) => name === "Content-Length")?.[1];
    if (chunked) {
      const size = Number.parseInt(text, 16);
      const from = text.indexOf("\r\n") + 2;
      out.push({ start, headers, body: text.slice(from, from + size) });
      text = text.slice(text.indexOf("0\r\n\r\n") + 5);
    } else {
      const size = length === undefined ? (untilClose ? text.length : 0) : Number(length);
      out.push({ start, headers, body: text.slice(0, size) });
      text = text.slice(size);
    }
  }
  return out.filter((message) => !message.start.startsWith("HTTP/1.1 1"));
}

describe("HTTP/1.1 messages captured from Go Micro v4.11 and v5.30", () => {
  it("are plenty, from both versions", () => {
    expect(all.filter((c) => c.name.startsWith("v4")).length).toBeGreaterThan(80);
    expect(all.filter((c) => c.name.startsWith("v5")).length).toBeGreaterThan(70);
  });

  it.each(all)("$name: parsed as a second, naive reading sees them", ({ request, response }) => {
    const requests = readRequests(request);
    const responses = readResponses(response);
    expect(requests.code).toBeUndefined();
    expect(responses.code).toBeUndefined();
    expect(
      requests.messages.map((m) => ({
        start: `${m.method} ${m.target} HTTP/1.${m.minor}`,
        headers: pairs(m.headers),
        body: m.body.toString("latin1"),
      })),
    ).toEqual(naive(request));
    expect(
      responses.messages.map((m) => ({
        start: `HTTP/1.${m.minor} ${m.status} ${m.reason}`,
        headers: pairs(m.headers),
        body: m.body.toString("latin1"),
      })),
    ).toEqual(naive(response));
  });

  it.each([1, 2, 3, 7, 64, 1000])("read the same in pieces of %i bytes", (size) => {
    for (const { request, response } of all) {
      expect(readRequests(request, size)).toEqual(readRequests(request));
      expect(readResponses(response, size)).toEqual(readResponses(response));
    }
  });

  it("parse equal after our own encoding of them", () => {
    const framing = new Set(["Host", "Content-Length", "Transfer-Encoding", "Trailer"]);
    const rest = (headers: readonly string[]): [string, string][] => pairs(headers).filter(([n]) => !framing.has(n));
    for (const { request, response } of all) {
      for (const m of readRequests(request).messages) {
        const { method, target, headers, body } = m;
        const again = readRequests(encodeRequest({ host: "127.0.0.1:1", method, target, headers, body })).messages;
        expect(again).toHaveLength(1);
        expect([again[0]?.method, again[0]?.target, again[0]?.body]).toEqual([method, target, body]);
        expect(rest(again[0]?.headers ?? [])).toEqual(rest(headers));
      }
      for (const { headers, body } of readResponses(response).messages) {
        const again = readResponses(encodeResponse({ headers, body })).messages;
        expect(again).toHaveLength(1);
        expect(again[0]?.body).toEqual(body);
        expect(rest(again[0]?.headers ?? [])).toEqual(rest(headers));
      }
    }
  });
});

function pairs(headers: readonly string[]): [string, string][] {
  const out: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) out.push([headers[i] ?? "", headers[i + 1] ?? ""]);
  return out;
}
