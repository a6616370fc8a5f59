import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeInNamespace } from "./netns.ts";
import { describeGo, goAvailable, goMicroCli, type GoPeer, goPeer, goVersions } from "./peer.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const builds = goAvailable ? ["go-peer-v4", "go-peer-v5", "go-micro-cli"] : [];

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; the environment has nothing of MICRO_* but `env`. */
function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const kept = Object.entries(process.env).filter(([key]) => !/^MICRO_|_PROXY$/i.test(key));
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      { cwd: tmpdir(), env: { ...Object.fromEntries(kept), ...env }, timeout: 120_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === "number") resolve({ code, stdout, stderr });
        else reject(new Error(`${command} ${args.join(" ")}: ${error?.message}\n${stderr}`));
      },
    );
  });
}

describeInNamespace(
  import.meta.url,
  "the micro command beside the reference",
  () => {
    let localDir: string;
    beforeAll(async () => {
      localDir = await mkdtemp(join(tmpdir(), "ts-micro-cli-"));
      await promisify(execFile)(process.execPath, [`${root}scripts/build.mjs`]).catch(() => {});
    }, 120_000);
    afterAll(() => rm(localDir, { recursive: true, force: true }));

    const micro = (...args: readonly string[]): Promise<Outcome> =>
      run(process.execPath, [`${root}packages/cli/dist/main.js`, ...args], { MICRO_LOCAL_DIR: localDir });
    const reference = async (...args: readonly string[]): Promise<Outcome> => run(await goMicroCli(), args);
    const both = (...args: readonly string[]): Promise<[ours: Outcome, theirs: Outcome]> =>
      Promise.all([micro(...args), reference(...args)]);

    describeGo("with a Go service", () => {
      describe.each(goVersions)("%s", (version) => {
        let peer: GoPeer;
        beforeAll(async () => {
          peer = await goPeer({
            version,
            serve: true,
            name: "greeter",
            registry: "mdns",
            metadata: {
              zone: "eu: 1",
              yes: "no",
              a10: "10",
              a9: "0x1f",
              long: "a text that is longer than the width at which the YAML of the reference folds its lines, which is eighty columns",
              quoted: "it's # not plain, it's long enough to be folded as well: there is a colon and a hash sign in it",
              empty: "",
              date: "2026-11-21",
              lines: "first\n  second\n",
              unicode: "Grüße\u0007",
              html: "<b>&</b>",
            },
            subscribers: [{ topic: "greetings" }],
          });
        }, 120_000);
        afterAll(() => peer.close());

        test.each([
          ["lists services", ["services"]],
          ["describes as JSON, which is the default", ["describe", "service", "greeter"]],
          ["describes as YAML", ["describe", "service", "--format=yaml", "greeter"]],
          ["describes with both aliases", ["describe", "s", "--format", "json", "greeter"]],
          ["describes a service without endpoints", ["describe", "service", "micro.http.broker"]],
          ["describes it as YAML", ["describe", "service", "--format=yaml", "micro.http.broker"]],
          ["calls", ["call", "greeter", "Greeter.Hello", '{"name":"John"}']],
          ["joins the words of a request", ["call", "greeter", "Greeter.Hello", '{"name":', '"Ann', 'Lee"}']],
          ["calls without a body", ["call", "greeter", "Greeter.Hello"]],
          [
            "calls a handler of Go structs",
            ["call", "greeter", "Plain.Echo", '{"name":"<John> & \\u2028 ü","n":7,"bytes":"cmF3"}'],
          ],
          ["reads a server stream", ["stream", "server", "greeter", "Greeter.Stream", '{"count":3,"delay_ms":25}']],
          ["reads it by its alias", ["stream", "s", "greeter", "Greeter.Stream", '{"count":2,"delay_ms":25}']],
          ["talks both ways", ["stream", "bidi", "greeter", "Greeter.Chat", '{"text":"a"}', '{"text":"b"}']],
          ["takes global flags before the command", ["--client_retries=1", "services"]],
        ])("%s: standard output is that of the reference, byte for byte", async (_, args) => {
          const [ours, theirs] = await both(...args);
          expect(theirs.code, theirs.stdout + theirs.stderr).toBe(0);
          expect(ours).toEqual({ code: 0, stdout: theirs.stdout, stderr: "" });
        });

        test.each([
          ["a Micro error", ["call", "greeter", "Greeter.Fail", '{"kind":"conflict","detail":"so-so"}']],
          ["a plain error", ["call", "greeter", "Greeter.Fail", '{"kind":"plain","detail":"just text"}']],
          ["a missing method", ["call", "greeter", "Greeter.Nope", "{}"]],
          ["a missing handler", ["call", "greeter", "Nobody.Hello", "{}"]],
          ["a wrong type", ["call", "greeter", "Greeter.Hello", '{"name":7}']],
          [
            "a stream that fails",
            ["stream", "server", "greeter", "Greeter.Stream", '{"count":2,"delay_ms":25,"fail_with":"conflict"}'],
          ],
        ])("%s is told on standard error in the words of the service, exit code 1", async (_, args) => {
          const [ours, theirs] = await both(...args);
          expect(theirs.code).toBe(1);
          // The reference says errors on standard output, after the replies.
          const lines = theirs.stdout.split("\n").slice(0, -1);
          expect(ours.code).toBe(1);
          expect(ours.stderr).toBe(`${lines.at(-1)}\n`);
          expect(ours.stdout).toBe(
            lines
              .slice(0, -1)
              .map((line) => `${line}\n`)
              .join(""),
          );
        });

        test("nested replies have their keys in the order of the reference", async () => {
          const [ours, theirs] = await both("call", "greeter", "Greeter.Echo", '{"note":"x"}');
          // What the handler saw of its two callers differs.
          const keys = (text: string): string[] => Array.from(text.matchAll(/"([^"]+)":/g), ([, key]) => key ?? "");
          const common = keys(theirs.stdout).filter((key) => keys(ours.stdout).includes(key));
          expect(common).toEqual(expect.arrayContaining(["metadata", "Content-Type", "note"]));
          expect(keys(ours.stdout).filter((key) => common.includes(key))).toEqual(common);
          expect(ours).toMatchObject({ code: 0, stderr: "" });
        });

        test("a bidirectional stream that the service ends is a success", async () => {
          const requests = ["a", "b", "quit"].map((text) => JSON.stringify({ text }));
          const [ours, theirs] = await both("stream", "bidi", "greeter", "Greeter.Chat", ...requests);
          expect(theirs).toMatchObject({ code: 1, stdout: `${ours.stdout}EOF\n` });
          expect(ours).toMatchObject({ code: 0, stderr: "" });
        });

        test("an unknown service is told with names like it, exit code 1", async () => {
          const [ours, theirs] = await both("describe", "service", "greetr");
          expect(theirs.code).toBe(1);
          expect(ours).toMatchObject({ code: 1, stdout: "" });
          expect(ours.stderr).toContain('did you mean "greeter"?');
        });

        test("numbers of 64 bits keep their digits both ways", async () => {
          const [ours, theirs] = await both("call", "greeter", "Plain.Echo", '{"n":9007199254740993}');
          expect(ours).toMatchObject({ code: 0, stderr: "" });
          expect(ours.stdout).toContain('"n":9007199254740993,');
          expect(theirs.stdout).toBe(ours.stdout.replace("9007199254740993", "9007199254740992"));
        });
      });
    });

    describeGo("with a TypeScript service", () => {
      test("the reference finds, describes, calls and streams it, and prints what we print", async () => {
        const greeter = await service(localDir);
        try {
          const services = await both("services");
          expect(services[0].stdout.split("\n")).toContain("ts-greeter");
          expect(services[1].stdout).toBe(services[0].stdout);
          const call = ["call", "ts-greeter", "Greeter.Hello", '{"name":"Ada","n":1}'];
          const stream = ["stream", "server", "ts-greeter", "Greeter.Count", '{"to":3}'];
          const chat = ["stream", "bidi", "ts-greeter", "Greeter.Chat", '{"text":"a"}', '{"text":"b"}'];
          for (const args of [call, stream, chat]) {
            const [ours, theirs] = await both(...args);
            expect(theirs, args.join(" ")).toEqual({ code: 0, stdout: ours.stdout, stderr: "" });
            expect(ours).toMatchObject({ code: 0, stderr: "" });
          }
          // The reference keeps what the message before had; ours prints what came.
          const varying = ["stream", "bidi", "ts-greeter", "Greeter.Chat", '{"text":"first"}', '{"text":"b"}'];
          const [printed, kept] = await both(...varying);
          expect(printed.stdout).toBe('{"only":1,"text":"re: first"}\n{"text":"re: b"}\n');
          expect(kept.stdout).toBe('{"only":1,"text":"re: first"}\n{"only":1,"text":"re: b"}\n');

          const [ours, theirs] = await both("describe", "service", "ts-greeter");
          expect(JSON.parse(theirs.stdout.replaceAll(/: \[\]/g, ": null"))).toEqual(JSON.parse(ours.stdout));
        } finally {
          await greeter.stop();
        }
      });
    });
  },
  { builds, limitMs: 900_000 },
);

/** A service of ours, in this process, as a newcomer would start it. */
async function service(localDir: string): Promise<{ stop(): Promise<void> }> {
  const { createService, endpoint } = await import("ts-micro");
  const greeter = createService({
    name: "ts-greeter",
    address: "127.0.0.1:0",
    logLevel: "error",
    settle: 0,
    env: { MICRO_LOCAL_DIR: localDir, MICRO_BROKER_ADDRESS: "127.0.0.1:0" },
  }).handle("Greeter", {
    hello: ({ name, n }: { name: string; n: number }) => ({ msg: `Hello ${name}`, n }),
    async *count({ to }: { to: number }) {
      for (let n = 1; n <= to; n++) {
        await Promise.resolve();
        yield { n };
      }
    },
    chat: endpoint({ stream: "bidi" }, async function* (messages) {
      for await (const { text } of messages as AsyncIterable<{ text: string }>) {
        yield { ...(text === "first" ? { only: 1 } : {}), text: `re: ${text}` };
      }
    }),
  });
  await greeter.start();
  return greeter;
}
