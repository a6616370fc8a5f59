import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { existsSync, readFileSync } from "node:fs";
import { bin, built, endAll, type Outcome, root, Running, Scratch, worldIn } from "./micro.ts";

const scratch = new Scratch();
const env = worldIn(scratch.path);
const micro = (...args: readonly string[]): Promise<Outcome> =>
  new Running(process.execPath, [bin, ...args], { env }).ended;

beforeAll(built, 120_000);
afterAll(async () => {
  await endAll();
  scratch.remove();
});

describe("a wrong command line ends with 2, with words on standard error alone", () => {
  it.each([
    ["an unknown command", ["nonsense"], 'unknown command "nonsense"'],
    ["a mistyped command", ["servces"], 'did you mean "services"?'],
    ["an unknown command of a group", ["stream", "both"], 'unknown command "stream both"'],
    ["a group alone", ["stream"], "there are: server, client, bidi"],
    ["an unknown flag", ["services", "--nope"], "unknown flag --nope"],
    ["a mistyped global flag", ["services", "--registri=local"], 'did you mean "registry"?'],
    ["an unknown short flag", ["services", "-x"], "unknown flag -x"],
    ["a flag without its value", ["services", "--registry"], "--registry needs a value"],
    [
      "a flag with a wrong value",
      ["services", "--client_retries=many"],
      "--client_retries=many: a whole number is needed",
    ],
    ["a flag with no duration", ["services", "--client-request-timeout=soon"], "a duration is needed"],
    ["no service to call", ["call"], "usage: micro call SERVICE ENDPOINT [JSON…|-]"],
    [
      "words besides the input",
      ["call", "greeter", "Greeter.Hello", "-", "{}"],
      '- stands for the whole request: unexpected "{}"',
    ],
    ["a short flag with more behind it", ["call", "-mKey:Value"], "unknown flag -mKey:Value"],
    ["no endpoint to call", ["call", "greeter"], "ENDPOINT is missing"],
    ["nothing to describe", ["describe", "service"], "NAME is missing"],
    ["nothing to send", ["stream", "bidi", "greeter", "Greeter.Chat"], "JSON is missing"],
    ["nothing to add", ["stream", "client", "greeter", "Greeter.Sum"], "JSON is missing"],
    ["too much", ["services", "now"], 'unexpected argument "now"'],
    ["no help to be had", ["help", "nonsense"], 'no help for "nonsense"'],
  ])("%s", async (_, args, words) => {
    const { code, stdout, stderr } = await micro(...args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(words);
    expect(stderr.startsWith("micro: ")).toBe(true);
  });
});

describe("help", () => {
  it("lists commands and every flag of the reference with its variable", async () => {
    const { code, stdout, stderr } = await micro("--help");
    expect([code, stderr]).toEqual([0, ""]);
    for (const command of ["services", "describe", "call", "stream", "run", "new"])
      expect(stdout).toContain(`\n  ${command}`);
    const flags =
      "auth auth_id auth_namespace auth_private_key auth_public_key auth_secret broker broker_address client client_pool_size client_pool_ttl client_request_timeout client_retries config register_interval register_ttl registry registry_address runtime runtime_source selector server server_address server_advertise server_id server_metadata server_name server_version store store_address store_database store_table tracer tracer_address transport transport_address";
    for (const flag of flags.split(" "))
      expect(stdout).toMatch(new RegExp(`--${flag} value .*\\[\\$MICRO_${flag.toUpperCase()}\\]`));
    expect(stdout).toMatch(/--profile value .*\[\$MICRO_DEBUG_PROFILE\]/);
    // The command's own default, not a service's.
    expect(stdout).toMatch(/--log_level value .*\(warn;/);
  });

  it("is the same by every way to it", async () => {
    const wanted = await micro("help", "stream", "server");
    expect(wanted.code).toBe(0);
    expect(wanted.stdout).toContain("micro stream server [flags] SERVICE ENDPOINT [JSON…|-]");
    for (const args of [
      ["stream", "server", "--help"],
      ["stream", "-h", "server"],
      ["h", "stream", "s"],
    ])
      expect(await micro(...args)).toEqual(wanted);
    expect((await micro()).stdout).toBe((await micro("help")).stdout);
  });

  it("says the flags of a command with what they are without being given", async () => {
    const { stdout } = await micro("describe", "service", "--help");
    expect(stdout).toMatch(/--format value +json or yaml \(json\)/);
  });
});

describe("the version", () => {
  it("is that of the package", async () => {
    const { version } = JSON.parse(readFileSync(`${root}packages/cli/package.json`, "utf8")) as { version: string };
    expect(await micro("--version")).toMatchObject({ code: 0, stdout: `micro version ${version}\n` });
    for (const args of [["-v"], ["services", "--version"], ["-v", "run", "nothing.ts"]])
      expect(await micro(...args)).toMatchObject({ code: 0, stdout: `micro version ${version}\n` });
  });
});

it.skipIf(!existsSync("/dev/full")).each(["--version", "help"])(
  "standard output that takes nothing is told in one line: %s",
  async (word) => {
    const line = `"${process.execPath}" "${bin}" ${word} > /dev/full`;
    const shell = new Running("sh", ["-c", line], { env });
    expect(await shell.ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^micro: ENOSPC.*\n$/) as string,
    });
  },
);

describe("flags", () => {
  it("that only other programs understand are taken and left alone", async () => {
    expect(
      await micro("--store=file", "--auth_id", "me", "services", "--tracer-address=x:1", "--profile=http"),
    ).toMatchObject({ code: 0, stdout: "" });
  });

  it("end at two dashes: what follows are arguments", async () => {
    expect((await micro("services", "--", "--help")).stderr).toContain('unexpected argument "--help"');
  });
});
