import { PassThrough } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { errors } from "../../src/errors.ts";
import type { Level } from "../../src/logger.ts";
import { consoleLogger, type ConsoleLoggerOptions } from "../../src/logger/console.ts";
import { levels } from "../../src/logger/common/levels.ts";

function capture(options: ConsoleLoggerOptions = {}): {
  lines: string[];
  log: ReturnType<typeof consoleLogger>;
  last: () => Record<string, unknown>;
} {
  const lines: string[] = [];
  const log = consoleLogger({ now: () => 0, ...options, output: { write: (line: string) => lines.push(line) } });
  return { lines, log, last: () => JSON.parse(lines.at(-1) ?? "null") as Record<string, unknown> };
}

describe("console logger", () => {
  it("writes one JSON object a line: time, level, message, then the fields", () => {
    const { lines, log } = capture({ fields: { service: "greeter" } });
    log.info("hello\nworld", { n: 1 });
    expect(lines).toEqual([
      '{"time":"1970-01-01T00:00:00.000Z","level":"info","message":"hello\\nworld","service":"greeter","n":1}\n',
    ]);
  });

  it("writes lines of its level and above, and no others", () => {
    for (const [i, level] of levels.entries()) {
      const { lines, log } = capture({ level });
      for (const each of levels) log[each](each);
      expect(lines.map((line) => (JSON.parse(line) as { level: Level }).level)).toEqual(levels.slice(i));
      expect(levels.filter((each) => log.enabled(each))).toEqual(levels.slice(i));
    }
  });

  it("the default level is info", () => {
    expect(capture().log.level).toBe("info");
  });

  it("an unknown level is BAD_REQUEST and names the levels", () => {
    expect(() => consoleLogger({ level: "loud" as Level })).toThrow(
      expect.objectContaining({
        code: "BAD_REQUEST",
        detail: expect.stringContaining("trace, debug, info, warn, error, fatal") as string,
      }),
    );
  });

  it("a child adds its fields to each line and leaves its parent alone", () => {
    const { log, last } = capture({ fields: { a: 1 } });
    log.child({ b: 2 }).child({ a: 3 }).info("x", { c: 4 });
    expect(last()).toMatchObject({ a: 3, b: 2, c: 4 });
    log.info("y");
    expect(last()).not.toHaveProperty("b");
  });

  it("a field cannot take the place of time, level or message", () => {
    const { log, last } = capture();
    log.info("real", { message: "fake", level: "trace", time: 5 });
    expect(last()).toMatchObject({ message: "real", level: "info", "field.message": "fake", "field.level": "trace" });
  });

  it("errors show name, message, code, stack and their causes", () => {
    const { log, last } = capture();
    const root = Object.assign(new TypeError("root"), { code: "ECONNREFUSED" });
    log.error("failed", { error: errors.unavailable("greeter", "gone", root) });
    expect(last()["error"]).toMatchObject({
      name: "MicroError",
      message: "gone",
      code: "UNAVAILABLE",
      id: "greeter",
      status: 503,
      cause: {
        name: "TypeError",
        message: "root",
        code: "ECONNREFUSED",
        stack: expect.stringContaining("TypeError") as string,
      },
    });
  });

  it("of what hangs on an error, no objects but errors are written: HTTP clients keep requests and their headers there", () => {
    const { log, last, lines } = capture();
    const secret = { headers: { Authorization: "Bearer SECRET" } };
    const cause = { code: "EAUTH", config: secret };
    class ClientRequest {
      _header = "Authorization: Bearer SECRET";
    }
    const request = new ClientRequest();
    const inner = Object.assign(new TypeError("inner", { cause: request }), { request });
    const fields = { code: "ERR_BAD_REQUEST", status: 401, config: secret, toJSON: () => secret, reason: inner };
    const error = Object.assign(new Error("401", { cause }), fields);
    log.error("failed", { error, all: new AggregateError([inner, cause, request], "all"), asked: { for: ["this"] } });
    expect(lines.join("")).not.toContain("SECRET");
    expect(last()).toMatchObject({
      error: {
        code: "ERR_BAD_REQUEST",
        status: 401,
        reason: { message: "inner" },
        cause: { code: "EAUTH" },
      },
      all: { errors: [{ name: "TypeError", cause: "[ClientRequest]" }, { code: "EAUTH" }, "[ClientRequest]"] },
      asked: { for: ["this"] },
    });
  });

  it("circles, bigints, maps, bytes, throwing getters, huge and deep values are written, not thrown", () => {
    const { log, lines, last } = capture();
    const circle: Record<string, unknown> = { name: "o" };
    circle["self"] = circle;
    const loop = new Error("loop");
    loop.cause = loop;
    let deep: unknown = 1;
    for (let i = 0; i < 10_000; i++) deep = { deep };
    log.info("all", {
      circle,
      loop,
      deep,
      big: 10n,
      map: new Map<unknown, unknown>([[{ k: 1 }, new Set([1, 2])]]),
      bytes: new Uint8Array([1, 255]),
      bad: {
        get boom(): never {
          throw new Error("getter");
        },
        good: 1,
      },
      get worse(): never {
        throw new Error("at the top");
      },
      date: new Date(NaN),
      nan: NaN,
      symbol: Symbol("s"),
      long: "x".repeat(200_000),
      many: Array.from({ length: 50_000 }, () => 1),
      proto: JSON.parse('{"__proto__":{"polluted":1}}') as unknown,
      nothing: undefined,
      fn: function named() {},
    });
    expect(lines).toHaveLength(1);
    expect(last()).toMatchObject({
      circle: { name: "o", self: "[circular]" },
      loop: { message: "loop", cause: "[circular]" },
      big: "10",
      map: { '{"k":1}': [1, 2] },
      bytes: "01ff",
      bad: { boom: "[unreadable: getter]", good: 1 },
      worse: "[unreadable: at the top]",
      date: "Invalid Date",
      nan: "NaN",
      symbol: "Symbol(s)",
      fn: "[function named]",
    });
    expect(JSON.stringify(last()["deep"]).length).toBeLessThan(200);
    expect((lines[0] ?? "").length).toBeLessThan(200_000);
    expect(Object.hasOwn({}, "polluted")).toBe(false);
  });

  it("the same object twice, not in a circle, is written twice", () => {
    const { log, last } = capture();
    const shared = { n: 1 };
    log.info("x", { list: [shared, shared] });
    expect(last()["list"]).toEqual([{ n: 1 }, { n: 1 }]);
  });

  it("the pretty format puts fields behind the message and stacks with causes below", () => {
    const { lines, log } = capture({ format: "pretty" });
    log.warn("slow call", {
      service: "greeter",
      note: "two words",
      n: 5,
      error: new Error("outer", { cause: new Error("inner") }),
    });
    const text = lines.join("");
    expect(text).toMatch(/^00:00:00\.000 WARN {2}slow call service=greeter note="two words" n=5 error=outer\n/);
    expect(text).toContain("    Error: outer\n");
    expect(text).toContain("    caused by:\n      Error: inner\n");
    expect(text).not.toContain("\u001b");
  });

  it("a message cannot drive the terminal or fake a line in the pretty format", () => {
    const { lines, log } = capture({ format: "pretty" });
    log.info("a\nb\u001b[31m\u009b2J", { k: "v\u009b" });
    expect(lines).toEqual(['00:00:00.000 INFO  a\\x0ab\\x1b[31m\\x9b2J k="v\\x9b"\n']);
  });

  it("a terminal gets the pretty format with colours, anything else JSON", () => {
    const lines: string[] = [];
    const write = (line: string): number => lines.push(line);
    consoleLogger({ output: { write, isTTY: true }, colour: true }).info("x");
    consoleLogger({ output: { write } }).info("x");
    expect(lines[0]).toContain("\u001b[32mINFO");
    expect(lines[1]).toMatch(/^{"time"/);
  });

  it("writes to standard error unless told otherwise, and never to standard output", () => {
    const seen: string[] = [];
    const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => seen.push(`err:${String(text)}`) > 0);
    const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => seen.push(`out:${String(text)}`) > 0);
    try {
      consoleLogger({ format: "json" }).info("default");
      consoleLogger({ format: "json", output: { write: (line: string) => seen.push(`own:${line}`) } }).info("given");
    } finally {
      err.mockRestore();
      out.mockRestore();
    }
    expect(seen.map((line) => line.slice(0, 5))).toEqual(["err:{", "own:{"]);
  });

  it("an output that throws does not break what is logged", () => {
    const log = consoleLogger({
      output: {
        write() {
          throw new Error("EPIPE");
        },
      },
    });
    expect(() => log.fatal("x")).not.toThrow();
  });

  it("an output that fails later does not end the process, and gets one listener however many loggers write to it", () => {
    const output = new PassThrough();
    for (let i = 0; i < 20; i++) consoleLogger({ output }).info("x");
    expect(output.listenerCount("error")).toBe(1);
    expect(() => output.emit("error", new Error("EPIPE"))).not.toThrow();
  });

  it("lines that an output does not take are dropped past 16 MiB, and it says how many", async () => {
    const output = new PassThrough();
    const log = consoleLogger({ output });
    for (let i = 0; i < 400; i++) log.info("x".repeat(60_000), { i });
    expect(output.writableLength + output.readableLength).toBeLessThan(17 << 20);
    const lines: string[] = [];
    output.setEncoding("utf8").on("data", (text: string) => lines.push(text));
    while (output.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
    log.info("again");
    await new Promise((resolve) => setImmediate(resolve));
    const written = lines
      .join("")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const said = written.find((line) => line["dropped"] !== undefined);
    expect(said).toMatchObject({ level: "warn", dropped: 400 - (written.length - 2) });
    expect(written.at(-1)).toMatchObject({ message: "again" });
  });
});
