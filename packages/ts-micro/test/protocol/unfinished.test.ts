import { describe, expect, it } from "vitest";
import type { Http2Events, Http2Exchange } from "../../src/backends/http2.ts";
import { RouteExchange } from "../../src/backends/http2/http-exchange.ts";
import { Arriving } from "../../src/internal/arriving.ts";
import { serveRoutes } from "../../src/protocol/common/routes.ts";
import { connectProtocol } from "../../src/protocol/connect.ts";
import { grpcWebProtocol } from "../../src/protocol/grpc-web.ts";
import { callRoute } from "../../src/protocol/http/calls.ts";
import type { CallHandler } from "../../src/protocol.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually } from "../../src/testing/suite.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { browserRule } from "../../src/wire/http/browser.ts";

const calls: CallHandler = {
  kindOf: (endpoint) => (endpoint === "S.Hello" ? "unary" : "client"),
  supports: () => true,
  unary: () => Promise.resolve({ body: Buffer.from("{}") }),
  async stream(_, stream) {
    try {
      while ((await stream.read()) !== undefined);
      return undefined;
    } catch (error) {
      return error as never;
    }
  },
  message: () => Promise.resolve(undefined),
};

/** Requests over HTTP/2, all of which may keep 10,000 bytes, for a second. */
function world() {
  const clock = virtualClock();
  const arriving = new Arriving(clock, 1000, 10_000);
  const routes = [
    ...(connectProtocol({ clock }).routes?.(calls) ?? []),
    ...(grpcWebProtocol({ clock }).routes?.(calls) ?? []),
    callRoute({ calls, rule: browserRule(undefined), maxBody: 4 << 20, clock }),
  ];
  const open = (path: string, type: string, more: Record<string, string> = {}) => {
    const headers = { ":method": "POST", ":path": path, "content-type": type, ...more };
    const answer = { text: "", events: undefined as Http2Events | undefined };
    const exchange: Http2Exchange = {
      headers,
      header: (name) => (headers as Record<string, string>)[name],
      local: "",
      remote: "",
      receive: (events) => (answer.events = events),
      respond: (head) => (answer.text += JSON.stringify(head)),
      answer: () => {},
      write: (chunk) => (answer.text += Buffer.from(chunk).toString("latin1")) !== "",
      end: (chunk) => (answer.text += `${Buffer.from(chunk ?? []).toString("latin1")} the end`),
      backlog: 0,
      pause: () => {},
      resume: () => {},
      reset: () => (answer.text += "reset"),
    };
    void serveRoutes(routes, new RouteExchange(exchange, arriving));
    return {
      send: (bytes: Buffer) => answer.events?.data(bytes),
      end: () => answer.events?.ended(),
      gone: () => answer.events?.closed("lost", 0),
      get text() {
        return answer.text;
      },
      /** Lets go of what others keep. */
      answered: () => eventually(() => answer.text.endsWith(" the end"), "it is answered"),
    };
  };
  return { clock, arriving, open };
}

const long = frame(Buffer.alloc(20_000, 0x20));
const whole = frame(Buffer.alloc(4000, 0x20));
const line = Buffer.alloc(20_000, 0x20);

describe("what is unfinished over HTTP/2", () => {
  it.each([
    ["/S/Hello", "application/grpc-web+json", long, 4000],
    ["/S/Hello", "application/grpc-web+json", whole, 4005],
    ["/S/Take", "application/grpc-web+json", long, 4000],
    ["/S/Take", "application/connect+json", long, 4000],
    ["/S/Hello", "application/json", line, 4000],
    ["/s/S.Take", "application/x-ndjson", line, 4000],
    ["/s/S.Hello", "application/json", line, 4000],
  ])(
    "is refused when that of all is too much, and counts until it is answered (%s %s)",
    async (path, type, body, part) => {
      const { open, arriving } = world();
      const all = Array.from({ length: 4 }, () => open(path, type));
      for (const each of all) each.send(body.subarray(0, part));
      const refused = await eventually(() => all.find(({ text }) => text.endsWith(" the end")), "one is refused");
      expect(refused.text).toMatch(/too many unfinished requests|too%20many%20unfinished/);
      for (const each of all) each.gone();
      await new Promise(setImmediate);
      expect(arriving.hold(10_000)).toBe(true);
      expect(arriving.hold(1)).toBe(false);
    },
  );

  it.each([
    ["/S/Hello", "application/grpc-web+json"],
    ["/S/Hello", "application/json"],
    ["/s/S.Hello", "application/json"],
  ])("of a unary call is waited for until its deadline, or as long as requests have (%s %s)", async (path, type) => {
    const { open, clock } = world();
    const timeout = { "grpc-timeout": "500m", "connect-timeout-ms": "500", timeout: "500ms" };
    const [soon, late] = [open(path, type, timeout), open(path, type)];
    for (const each of [soon, late]) each.send(long.subarray(0, 100));
    // The protocol is loaded with its first request.
    await eventually(() => clock.pending() > 0, "they are waited for");
    await clock.advance(501);
    await soon.answered();
    expect(soon.text).toMatch(/did(?: |%20)not(?: |%20)arrive/);
    expect(late.text).toBe("");
    await clock.advance(500);
    await late.answered();
    expect(clock.pending()).toBe(0);
  });
});
