import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setTimeout as delay } from "node:timers/promises";
import { bin, built, endAll, type Outcome, root, Running, Scratch, worldIn } from "./micro.ts";

const scratch = new Scratch();
const env = worldIn(scratch.path);
let greeter: Running;

const start = (...args: readonly string[]): Running => new Running(process.execPath, [bin, ...args], { env });
const micro = (...args: readonly string[]): Promise<Outcome> => start(...args).ended;
const ok = (stdout: string): Outcome => ({ code: 0, signal: null, stdout, stderr: "" });

beforeAll(async () => {
  await built();
  greeter = new Running(process.execPath, ["--import", "tsx", `${root}packages/cli/test/fixtures/greeter.ts`], {
    env,
    cwd: root,
  });
  await greeter.says("ready\n");
}, 120_000);
afterAll(async () => {
  greeter.child.stdin?.end();
  await greeter.ended;
  await endAll();
  scratch.remove();
});

describe("micro services", () => {
  it("lists the names in order, one a line", async () => {
    expect(await micro("services")).toEqual(ok("cut\ngreeter\n"));
  });

  it("prints nothing when there is none", async () => {
    expect(await micro("services", "--registry", "memory")).toEqual(ok(""));
  });

  it("says which registries there are when one is not known", async () => {
    const { code, stdout, stderr } = await micro("--registry=nope", "services");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^micro: no registry is called "nope"; there are: .*local/);
  });
});

describe("micro describe", () => {
  it("prints the record in the reference's order, null for what is empty", async () => {
    const { code, stdout } = await micro("describe", "service", "greeter");
    expect(code).toBe(0);
    const record = JSON.parse(stdout) as { endpoints: { name: string }[]; nodes: { id: string; address: string }[] };
    expect(stdout).toBe(`${JSON.stringify(record, undefined, 2)}\n`);
    expect(Object.keys(record)).toEqual(["name", "version", "metadata", "endpoints", "nodes"]);
    expect(record).toMatchObject({ name: "greeter", version: "latest", metadata: null });
    const count = record.endpoints.find(({ name }) => name === "Greeter.Count") ?? {};
    expect(Object.entries(count)).toEqual([
      ["name", "Greeter.Count"],
      ["request", { name: "CountRequest", type: "any", values: null }],
      ["response", { name: "CountResponse", type: "any", values: null }],
      ["metadata", { kind: "server", stream: "true" }],
    ]);
    const [node] = record.nodes;
    expect(Object.keys(node ?? {})).toEqual(["id", "address", "metadata"]);
    expect(node).toMatchObject({ metadata: { a10: "10", a9: "nine", protocol: "mucp", zone: "eu" } });
  });

  it.each([
    ["without the word service", ["describe", "greeter"]],
    ["by its alias", ["describe", "s", "greeter"]],
    ["with the format after the name", ["describe", "greeter", "--format=json"]],
  ])("prints the same %s", async (_, args) => {
    expect(await micro(...args)).toEqual(await micro("describe", "service", "greeter"));
  });

  it("prints YAML that says the same, with an empty line at its end", async () => {
    const { code, stdout } = await micro("describe", "greeter", "--format", "yaml");
    expect(code).toBe(0);
    expect(stdout.startsWith("name: greeter\nversion: latest\nmetadata: {}\nendpoints:\n- name: Greeter.Hello\n")).toBe(
      true,
    );
    expect(stdout).toContain('    a9: nine\n    a10: "10"\n');
    expect(stdout.endsWith("\n\n")).toBe(true);
  });

  it("asks the node when its record was cut", async () => {
    const { stdout, stderr } = await micro("describe", "cut");
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({
      endpoints: [{ name: "Cut.One", request: { type: "any" }, metadata: { from: "the node" } }],
      nodes: [{ metadata: { truncated: "true" } }],
    });
  });

  it("says who was asked and what is called alike when there is none", async () => {
    expect(await micro("describe", "service", "greetr")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: 'micro: service greetr not found (asked: local); did you mean "greeter"?\n',
    });
  });

  it("refuses other formats", async () => {
    expect(await micro("describe", "greeter", "--format", "xml")).toMatchObject({ code: 2, stdout: "" });
  });
});

describe("micro call", () => {
  it.each([
    ["a request", ['{"name":"John"}'], '{"msg":"Hello John"}\n'],
    ["no request, which is an empty one", [], '{"msg":"Hello "}\n'],
    ["the words of a request", ['{"name":', '"Ann', 'Lee"}'], '{"msg":"Hello Ann Lee"}\n'],
  ])("sends %s and prints the reply", async (_, words, reply) => {
    expect(await micro("call", "greeter", "Greeter.Hello", ...words)).toEqual(ok(reply));
  });

  it("keeps the digits of numbers, sorts keys and escapes as Go does", async () => {
    const request =
      '{"z":1,"big":18446744073709551615,"small":-9223372036854775808,"f":1.50,"e":1e21,"10":1,"9":[{"b":"<&>","a":null}]}';
    expect(await micro("call", "greeter", "Greeter.Echo", request)).toEqual(
      ok(
        '{"10":1,"9":[{"a":null,"b":"\\u003c\\u0026\\u003e"}],"big":18446744073709551615,"e":1e+21,"f":1.5,"small":-9223372036854775808,"z":1}\n',
      ),
    );
  });

  it("sends metadata along, the last of a key", async () => {
    const given = ["-H", "x-tenant:other", "-m=X-Tenant: acme", "--metadata=X-Note:a:b", "-H", "X-NOTE:a:b"];
    expect(await micro("call", ...given, "greeter", "Greeter.Tenant")).toEqual(ok('{"note":"a:b","tenant":"other"}\n'));
    expect(await micro("stream", "server", "greeter", "Greeter.Tenants", "-m", "X-Tenant:acme")).toEqual(
      ok('{"tenant":"acme"}\n'),
    );
  });

  it.each([
    ["X-Tenant", 2, '--metadata "X-Tenant": Key:Value is needed'],
    [":acme", 2, '--metadata ":acme": Key:Value is needed'],
    ["X-Tenant:a\nb", 1, "a line end or zero byte in it"],
  ])("refuses the metadata %j", async (entry, code, words) => {
    const outcome = await micro("call", "greeter", "Greeter.Tenant", "--metadata", entry);
    expect(outcome).toMatchObject({ code, stdout: "" });
    expect(outcome.stderr).toContain(words);
  });

  it("takes its request from the input", async () => {
    const call = start("call", "greeter", "Greeter.Hello", "-");
    call.child.stdin?.write('{\n"name":\n');
    call.child.stdin?.end('"Ann"\n}\n');
    expect(await call.ended).toEqual(ok('{"msg":"Hello Ann"}\n'));
    const marked = start("call", "greeter", "Greeter.Hello", "-");
    marked.child.stdin?.end('\uFEFF{"name":"Bob"}');
    expect(await marked.ended).toEqual(ok('{"msg":"Hello Bob"}\n'));
    const waits = start("call", "greeter", "Greeter.Hello", "-");
    waits.child.stdin?.write("{");
    await delay(1000);
    waits.child.kill("SIGINT");
    expect(await waits.ended).toEqual({ code: 130, signal: null, stdout: "", stderr: "" });
  });

  it.each([
    ["nothing", "", "micro: standard input is empty\n"],
    ["no JSON", '{"password":"secret",}', "micro: standard input is not JSON: invalid JSON at position"],
    ["no object", "[1]", "micro: standard input must be a JSON object\n"],
    ["no UTF-8", Buffer.from('{"name":"\xff"}', "latin1"), "micro: standard input is no UTF-8\n"],
    ["too much", Buffer.alloc((4 << 20) + 1, " "), "micro: the request is longer than 4 MiB\n"],
  ])("refuses %s from the input, and does not print it", async (_, input, words) => {
    const call = start("call", "greeter", "Greeter.Hello", "-");
    call.child.stdin?.end(input);
    const { code, stdout, stderr } = await call.ended;
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr.startsWith(words)).toBe(true);
    expect(stderr).not.toContain("secret");
  });

  it("prints a reply that is no object, too", async () => {
    expect(await micro("call", "greeter", "Greeter.List")).toEqual(ok("[3,2,1]\n"));
  });

  it.each([
    [
      "an error with its id, as Go writes it",
      ["Greeter.Fail", '{"kind":"conflict"}'],
      '{"id":"greeter","code":409,"detail":"so-so \\u003c\\u0026\\u003e","status":"Conflict"}\n',
    ],
    [
      "an exception",
      ["Greeter.Fail", '{"kind":"other"}'],
      '{"id":"greeter","code":500,"detail":"just text","status":"Internal Server Error"}\n',
    ],
  ])("prints on standard error what the service answered: %s", async (_, args, text) => {
    expect(await micro("call", "greeter", ...args)).toEqual({ code: 1, signal: null, stdout: "", stderr: text });
  });

  it("prints the service's words for an endpoint that it has not", async () => {
    const { code, stderr } = await micro("call", "greeter", "Greeter.Nope");
    expect(code).toBe(1);
    expect(stderr).toContain("rpc: can't find method Nope");
    expect(stderr).not.toContain("did you mean");
  });

  it("says what is called alike when the service has no such endpoint", async () => {
    const { code, stderr } = await micro("call", "greeter", "greeter.ecko", "{}");
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /can't find service greeter.*\nmicro: greeter has no greeter\.ecko; did you mean "Greeter\.Echo"\?\n$/s,
    );
  });

  it.each([
    ["{bad", 'micro: the request is not JSON: invalid JSON at position 1: unexpected "b": {bad\n'],
    ['{"a":1} {"b":2}', "micro: the request is not JSON: "],
    ["[1]", "micro: the request must be a JSON object: [1]\n"],
    ["null", "micro: the request must be a JSON object: null\n"],
  ])("does not send %s", async (request, words) => {
    const { code, stdout, stderr } = await micro("call", "greeter", "Greeter.Echo", request);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr.startsWith(words)).toBe(true);
  });

  it("says who was asked and what is called alike when there is no such service", async () => {
    expect(await micro("call", "greter", "Greeter.Hello")).toMatchObject({
      code: 1,
      stderr: 'micro: service greter: not found (asked: local); did you mean "greeter"?\n',
    });
    expect((await micro("call", "xyz", "Greeter.Hello")).stderr).toContain("`micro services` lists what there is");
  });

  it("gives up after the time that a flag sets, before or after the command, with dashes or underscores", async () => {
    for (const args of [
      ["call", "greeter", "Greeter.Slow", "--client-request-timeout=300ms"],
      ["--client_request_timeout", "300ms", "call", "greeter", "Greeter.Slow"],
    ]) {
      const { code, stderr } = await micro(...args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/"code":408|^micro: greeter Greeter.Slow.*\n.*--client_request_timeout/);
    }
  });

  it("ends at INT with 130 and at TERM with 143, and says nothing", async () => {
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      const heard = greeter.stdout.split("slow is called").length;
      const call = start("call", "greeter", "Greeter.Slow");
      await greeter.says("slow is called", "stdout", heard);
      call.child.kill(signal);
      expect(await call.ended).toEqual({ code, signal: null, stdout: "", stderr: "" });
    }
  });
});

describe("micro stream server", () => {
  it("prints each message of the stream", async () => {
    expect(await micro("stream", "server", "greeter", "Greeter.Count", '{"to":3}')).toEqual(
      ok('{"n":1}\n{"n":2}\n{"n":3}\n'),
    );
    expect(await micro("stream", "s", "greeter", "Greeter.Count")).toEqual(ok(""));
  });

  it("loses nothing of a long stream through a pipe", async () => {
    const { code, stdout } = await micro("stream", "server", "greeter", "Greeter.Count", '{"to":20000}');
    expect(code).toBe(0);
    expect(stdout.split("\n").length).toBe(20_001);
    expect(stdout.endsWith('{"n":20000}\n')).toBe(true);
  });

  it("prints what came before an error, and then that", async () => {
    expect(await micro("stream", "server", "greeter", "Greeter.Count", '{"to":3,"failAt":2}')).toEqual({
      code: 1,
      signal: null,
      stdout: '{"n":1}\n',
      stderr: '{"id":"greeter","code":409,"detail":"at 2","status":"Conflict"}\n',
    });
  });

  it("ends at INT with 130, all printed lines whole", async () => {
    const stream = start("stream", "server", "greeter", "Greeter.Tick");
    await stream.says('{"n":3}\n');
    stream.child.kill("SIGINT");
    const { code, signal, stdout, stderr } = await stream.ended;
    expect([code, signal, stderr]).toEqual([130, null, ""]);
    expect(stdout).toMatch(/^(?:\{"n":\d+\}\n)+$/);
  });

  it("is quiet when its reader has gone", async () => {
    const line = `"${process.execPath}" "${bin}" stream server greeter Greeter.Tick | head -n 1`;
    expect(await new Running("sh", ["-c", line], { env }).ended).toEqual(ok('{"n":1}\n'));
  });
});

describe("micro stream bidi", () => {
  const chat = (endpoint: string, ...texts: readonly string[]): Promise<Outcome> =>
    micro("stream", "bidi", "greeter", endpoint, ...texts.map((text) => JSON.stringify({ text })));

  it("sends, receives and prints one after the other", async () => {
    expect(await chat("Greeter.Talk", "a", "b")).toEqual(ok('{"text":"a"}\n{"text":"b"}\n'));
    expect(await micro("stream", "b", "greeter", "Greeter.Talk", '{"text":"a"}')).toEqual(ok('{"text":"a"}\n'));
  });

  it("ends well when the service ends the stream after the last message", async () => {
    expect(await chat("Greeter.Chat", "a", "quit")).toEqual(ok('{"text":"re: a"}\n'));
  });

  it("fails when the service ends it before, and says how many were not sent", async () => {
    const { code, stdout, stderr } = await chat("Greeter.Chat", "a", "quit", "b", "c");
    expect([code, stdout]).toEqual([1, '{"text":"re: a"}\n']);
    expect(stderr).toBe("micro: the service ended the stream; not sent: 2\n");
  });

  it("prints the error of the service, also one that comes at the end", async () => {
    expect(await chat("Greeter.Chat", "a", "fail")).toMatchObject({
      code: 1,
      stdout: '{"text":"re: a"}\n',
      stderr: '{"id":"greeter","code":403,"detail":"not that","status":"Forbidden"}\n',
    });
    expect(await chat("Greeter.Chat", "a")).toMatchObject({
      code: 1,
      stdout: '{"text":"re: a"}\n',
      stderr: '{"id":"greeter","code":409,"detail":"the end is not liked","status":"Conflict"}\n',
    });
  });

  it("sends nothing when one of the requests is no JSON", async () => {
    expect(await micro("stream", "bidi", "greeter", "Greeter.Talk", '{"text":"a"}', "{")).toMatchObject({
      code: 1,
      stdout: "",
    });
  });
});

describe("micro stream client", () => {
  const target = ["greeter", "Greeter.Sum"] as const;

  it("sends each request and prints the one reply", async () => {
    expect(await micro("stream", "client", ...target, '{"n":1}', '{"n":2}')).toEqual(ok('{"total":3}\n'));
    expect(await micro("stream", "c", ...target, '{"n":1}')).toEqual(ok('{"total":1}\n'));
  });

  it("prints a reply or an error that comes before everything was sent", async () => {
    expect(await micro("stream", "client", ...target, '{"n":1}', '{"n":0}', '{"n":2}')).toEqual(ok('{"total":1}\n'));
    const stderr = '{"id":"greeter","code":409,"detail":"no debts","status":"Conflict"}\n';
    expect(await micro("stream", "client", ...target, '{"n":-1}', '{"n":2}')).toMatchObject({ code: 1, stderr });
  });

  it("takes requests from the lines of its input, which stays open when the reply comes first", async () => {
    const all = start("stream", "client", ...target, "-");
    all.child.stdin?.end('{"n":1}\n\n{"n":41}\n');
    expect(await all.ended).toEqual(ok('{"total":42}\n'));
    const early = start("stream", "client", ...target, "-");
    early.child.stdin?.write('{"n":7}\n{"n":0}\n');
    expect(await early.ended).toEqual(ok('{"total":7}\n'));
  });

  it.each([
    ["client", "Greeter.Owner"],
    ["bidi", "Greeter.Owners"],
  ])("sends metadata along, %s too", async (command, endpoint) => {
    const args = ["stream", command, "greeter", endpoint, "{}", "-m", "X-Tenant: acme"];
    expect(await micro(...args)).toEqual(ok('{"tenant":"acme"}\n'));
  });

  it("takes lines as they are: after a mark of byte order, with CR, with line separators of Unicode, without an end", async () => {
    const run = start("stream", "bidi", "greeter", "Greeter.Talk", "-");
    run.child.stdin?.end('\uFEFF{"text":"a"}\r\n \r\n{"text":"b\u2028c"}\n{"text":"ä"}');
    expect(await run.ended).toEqual(ok('{"text":"a"}\n{"text":"b\\u2028c"}\n{"text":"ä"}\n'));
  });

  it("sends no line that is no UTF-8", async () => {
    const run = start("stream", "bidi", "greeter", "Greeter.Talk", "-");
    run.child.stdin?.end(Buffer.from('{"text":"a"}\n{"text":"\xe4"}\n', "latin1"));
    const stderr = "micro: standard input is no UTF-8\n";
    expect(await run.ended).toMatchObject({ code: 1, stdout: '{"text":"a"}\n', stderr });
  });

  it("fails when one of them is no JSON", async () => {
    const run = start("stream", "client", ...target, "-");
    run.child.stdin?.write('{"n":1}\n{\n');
    const { code, stdout, stderr } = await run.ended;
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^micro: standard input is not JSON/);
  });

  it.each([
    ["client", "Greeter.Sum", "", '{"n":1}'],
    ["bidi", "Greeter.Talk", '{"text":"a"}\n', '{"text":"a"}'],
  ])("says why a request cannot be sent, and sends none after it, %s", async (command, endpoint, stdout, request) => {
    const run = start("stream", command, "greeter", endpoint, "-");
    run.child.stdin?.write(`${request}\n{"text":"${"x".repeat(4 << 20)}"}\n${request}\n`);
    const outcome = await run.ended;
    expect(outcome).toMatchObject({ code: 1, stdout });
    expect(outcome.stderr).toMatch(/^micro: the message is larger than 4194304 bytes\n$/);
  });

  it("ends at INT while it waits for its input", async () => {
    const run = start("stream", "bidi", "greeter", "Greeter.Talk", "-");
    run.child.stdin?.write('{"text":"a"}\n');
    await run.says('{"text":"a"}\n');
    run.child.kill("SIGINT");
    expect(await run.ended).toMatchObject({ code: 130, stderr: "" });
  });
});

describe("an endpoint of another kind", () => {
  it.each([
    [["call", "greeter", "Greeter.Sum"], "use: micro stream client greeter Greeter.Sum '{…}' '{…}'"],
    [["call", "greeter", "Greeter.Chat"], "use: micro stream bidi greeter Greeter.Chat '{…}' '{…}'"],
    [["call", "greeter", "Greeter.Count"], "use: micro stream server greeter Greeter.Count '{…}'"],
    [["stream", "client", "greeter", "Greeter.Hello", "{}"], "use: micro call greeter Greeter.Hello '{…}'"],
  ])("is told with the command for it: %j", async (args, words) => {
    const { code, stdout, stderr } = await micro(...args);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^\{"id":"go\.micro\.server","code":405,.*\}\nmicro: use: /);
    expect(stderr).toContain(words);
  });

  it.each([
    ["server", "Greeter.Chat", "bidi"],
    ["server", "Greeter.Sum", "client"],
    ["client", "Greeter.Count", "server"],
    ["client", "Greeter.Chat", "bidi"],
    ["bidi", "Greeter.Count", "server"],
    ["bidi", "Greeter.Sum", "client"],
  ])("is not opened by stream %s: %s, a %s stream", async (command, endpoint, kind) => {
    const { code, stdout, stderr } = await micro("stream", command, "greeter", endpoint, "{}");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(
      new RegExp(`^micro: greeter ${endpoint} is a ${kind} stream\nmicro: use: micro stream ${kind} `),
    );
  });
});
