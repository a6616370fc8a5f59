import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { Kind } from "../../src/context.ts";
import { MicroError, errors } from "../../src/errors.ts";
import { Metadata } from "../../src/metadata.ts";
import type { Body, CallHandler, CallTarget, Route, ServedCall } from "../../src/protocol.ts";
import { requestHeader } from "../../src/protocol/mucp/headers.ts";
import { requestLines } from "../../src/protocol/mucp/lines.ts";
import { ServerConnection } from "../../src/protocol/mucp/server.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { precompile } from "../../src/wire/http1/encode.ts";
import { headerRecord } from "../../src/wire/http1/headers.ts";
import { turns, Wire } from "./wire.ts";

describe("the lines of a request made by template", () => {
  it("are those of its header, whatever the metadata and the time left", () => {
    const metadata = fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true });
    const left = fc.oneof(fc.constant(Infinity), fc.double({ min: -1, max: 1e15, noNaN: true }));
    const route: Route = { service: "s é", endpoint: "A.B", contentType: "application/json" };
    fc.assert(
      fc.property(metadata, left, fc.string(), (sent, deadline, text) => {
        const id = `ts-${Buffer.from(text).toString("hex")}`;
        const head = { ...route, kind: "unary" as const, deadline, metadata: Metadata.from(sent), id };
        const header = requestHeader(head, 0);
        // Names that look like numbers come first in a record, in any order that they were set in.
        const sorted = (lines: string): string[] => lines.split("\r\n").sort();
        const lines = requestLines(route, sent, deadline, id).join("");
        expect(sorted(lines)).toEqual(sorted(precompile(header).text));
        if (!Object.keys(sent).some((name) => /^\d+$/.test(name))) expect(lines).toBe(precompile(header).text);
      }),
    );
  });
});

/** A handler that answers each call straight when the test says so. */
class Straight implements CallHandler {
  readonly calls: ServedCall[] = [];
  readonly targets: Route[] = [];
  long = 0;
  answer: (call: ServedCall, body: string) => void = (call, body) => call.reply(`${body}!`);

  kindOf(endpoint: string): Kind | undefined {
    return { "A.Unary": "unary", "A.Bidi": "bidi" }[endpoint] as Kind | undefined;
  }

  supports(contentType: string): boolean {
    return contentType !== "application/odd";
  }

  target(route: Route): CallTarget {
    this.targets.push(route);
    return { kind: "unary", enveloped: route.contentType.endsWith("-rpc") };
  }

  direct(call: ServedCall, _target: CallTarget, bytes: Buffer, from: number, to: number): void {
    this.calls.push(call);
    this.answer(call, bytes.toString("utf8", from, to));
  }

  async unary(): Promise<{ body: Uint8Array }> {
    this.long++;
    return { body: Buffer.from("long") };
  }

  async stream(): Promise<undefined> {}
  async message(): Promise<undefined> {}
}

class LinesWire extends Wire {
  readonly lines: string[] = [];
  limit = 100;

  sendLines(lines: readonly string[], body: Body): void {
    if (body.length > this.limit) throw errors.payloadTooLarge("wire", "too large");
    this.lines.push(
      `${lines.join("")}\r\n${typeof body === "string" ? body : Buffer.from(body as Uint8Array).toString()}`,
    );
  }
}

describe("requests in a known form", () => {
  let wire: LinesWire;
  let handler: Straight;
  let served: ServerConnection;

  beforeEach(() => {
    wire = new LinesWire();
    handler = new Straight();
    served = new ServerConnection(wire, handler, virtualClock(1000));
    wire.receive(served);
  });

  const form = (id: string, more: string[] = []): string[] => [
    "Timeout",
    "5000000",
    "Content-Type",
    "application/json",
    "Micro-Endpoint",
    "A.Unary",
    "Micro-Id",
    id,
    "Micro-Service",
    "s",
    "Micro-Stream",
    id,
    ...more,
  ];
  const hear = (headers: string[], body = "x"): void => {
    const bytes = Buffer.from(`[${body}]`);
    if (served.lines(headers, bytes, 1, bytes.length - 1)) return;
    served.message({ header: headerRecord(headers), body: bytes.subarray(1, -1) });
  };

  /** The first one goes the long way. */
  async function known(): Promise<void> {
    hear(form("ts-0"));
    await turns();
    expect(handler.long).toBe(1);
  }

  it("are answered straight from the second one on, with what each says itself", async () => {
    await known();
    hear(form("ts-1"), "one");
    const second = form("ts-2");
    second[1] = "7000000";
    hear(second, "two");
    expect(wire.lines).toEqual([
      "Content-Type: application/json\r\nMicro-Id: ts-1\r\n\r\none!",
      "Content-Type: application/json\r\nMicro-Id: ts-2\r\n\r\ntwo!",
    ]);
    expect(handler.calls.map(({ deadline }) => deadline)).toEqual([1005, 1007]);
    expect(handler.calls[0]?.metadata.get("micro-id")).toBe("ts-1");
    expect(handler.calls[0]?.metadata.get("remote")).toBe(wire.remote);
    expect(handler.calls.map(({ retries }) => retries)).toEqual([true, true]);
  });

  it("have what their handlers add under names of their own, and nothing else of it", async () => {
    await known();
    handler.answer = (call, body) => {
      call.response?.header
        .set("x-seen", "a\x01b")
        .set("Content-Type", "no")
        .set("Micro-Error", "no")
        .set("no token", "no");
      call.response?.trailer.set("X-Cost", "3");
      call.reply(body);
    };
    hear(form("ts-1"), "one");
    expect(wire.lines).toEqual([
      "Content-Type: application/json\r\nMicro-Id: ts-1\r\nMicro-Header-X-Seen: a b\r\nMicro-Trailer-X-Cost: 3\r\n\r\none",
    ]);
  });

  it("go the long way when anything else differs, or what they are to is no unary call", async () => {
    await known();
    hear(form("ts-1", ["X-A", "1"]));
    hear(form("ts-2", ["X-A", "2"]));
    for (const more of [
      ["Micro-Topic", "t"],
      ["Micro-Kind", "bidi"],
      ["X-Micro-Stream", "q"],
    ])
      for (const id of ["ts-a", "ts-b"]) hear(form(id + more[0], more));
    const enveloped = form("ts-3");
    enveloped[3] = "application/json-rpc";
    hear(enveloped);
    hear(enveloped);
    await turns();
    expect(handler.calls).toEqual([]);
  });

  it("with one id wait for each other", async () => {
    await known();
    handler.answer = (call) => call.watch({ cancelled() {} });
    hear(form("ts-1"), "first");
    hear(form("ts-1"), "second");
    await turns();
    expect([handler.calls.length, handler.long]).toEqual([1, 1]);
    handler.calls[0]?.reply("done");
    await turns();
    expect([wire.lines.length, handler.long]).toEqual([1, 2]);
  });

  it("are cancelled when the caller has gone, and nothing is said to it", async () => {
    await known();
    const reasons: MicroError[] = [];
    handler.answer = (call) => call.watch({ cancelled: (reason) => (reasons.push(reason), call.fail(reason)) });
    hear(form("ts-1"));
    const lost = errors.connectionLost("test", "gone");
    served.closed(lost);
    expect(reasons).toEqual([lost]);
    expect(handler.calls[0]?.cancellation.reason).toBe(lost);
  });

  it("hear of errors and refusals, and that their reply was too large", async () => {
    await known();
    handler.answer = (call) =>
      call.fail(new MicroError({ id: "s", code: "RESOURCE_EXHAUSTED", detail: "full", refused: true }));
    hear(form("ts-1"));
    handler.answer = (call) => call.reply("y".repeat(101));
    hear(form("ts-2"));
    await turns();
    const headers = wire.sent.slice(1).map(({ header }) => header);
    expect(headers.map((header) => [header["Micro-Id"], header["Micro-Refused"]])).toEqual([
      ["ts-1", "1"],
      ["ts-2", undefined],
    ]);
    expect(headers[1]?.["Micro-Error"]).toContain("too large");
  });

  it("are never answered with an empty JSON body", async () => {
    await known();
    handler.answer = (call) => call.reply("");
    hear(form("ts-1"));
    expect(wire.lines[0]).toBe("Content-Type: application/json\r\nMicro-Id: ts-1\r\n\r\n{}\n");
  });
});
