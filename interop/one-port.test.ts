/** One service in one process on one port (examples/one-port), and everybody who can call it, one after the other. */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as grpcJs from "@grpc/grpc-js";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient as connectClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { greeterService } from "../examples/protobuf/gen/greeter_micro.ts";
import { Greeter, HelloReplySchema, HelloRequestSchema } from "../examples/protobuf/gen/greeter_pb.ts";
import { localRegistry } from "../packages/ts-micro/src/registry/local.ts";
import { describeChromium, startChromium } from "../packages/ts-micro/test/servers/chromium.ts";
import { describeServer, toolPath } from "../packages/ts-micro/test/servers/tools.ts";
import { blocksOf } from "../packages/ts-micro/test/docs/pages.ts";
import { describeGo, goPeer, goVersions } from "./peer.ts";
import type { GoService } from "./peer-types.ts";
import { clientOf, goRecords, tap, type Tap } from "./world.ts";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const name = "greeter";

/** What a connection speaks by what its client said first, and each request of HTTP/1.1 by its head; of what came after `from`. */
function wiresOf(sent: string, from: number): string[] {
  if (sent.length === from) return [];
  // What comes later on these may be a goodbye.
  if (sent.startsWith("\0MICRO/")) return from === 0 ? ["fast"] : [];
  if (sent.startsWith("PRI * HTTP/2.0\r\n")) return from === 0 ? ["HTTP/2"] : [];
  const heads = sent.slice(from).match(/^[A-Z]+ \S+ HTTP\/1\.1\r\n[^]*?\r\n\r\n/gm) ?? ["unknown"];
  return heads.map((head) => {
    if (/^micro-endpoint:/im.test(head)) return "mucp";
    const [, type = ""] = /^content-type: *([^;\r\n]+)/im.exec(head) ?? [];
    return /^connect-protocol-version:/im.test(head) ? `Connect ${type}` : `HTTP/1.1 ${type}`.trim();
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

let home = "";
let record: GoService;
let seen: Tap;
let end: () => Promise<number | null>;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "ts-micro-one-port-"));
  // The tap is there first: its origin is that of the page.
  const address = `127.0.0.1:${await freePort()}`;
  seen = await tap(address);
  const env = Object.entries(process.env).filter(([key]) => !key.startsWith("MICRO_"));
  const child = spawn(process.execPath, ["--import", "tsx", `${root}examples/one-port/service.ts`], {
    cwd: root,
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...Object.fromEntries(env),
      MICRO_REGISTRY: "local",
      MICRO_LOCAL_DIR: join(home, "run"),
      MICRO_SERVER_ADDRESS: address,
      MICRO_BROKER_ADDRESS: "127.0.0.1:0",
      ORIGINS: `http://${seen.address}`,
    },
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  end = () => (child.kill("SIGTERM"), ended);
  let log = "";
  const registered = new Promise<void>((resolve) => {
    child.stderr.on("data", (data: Buffer) => {
      log += data.toString();
      if (log.includes("registered node")) resolve();
    });
  });
  await Promise.race([registered, ended.then((code) => Promise.reject(new Error(`ended with ${code}: ${log}`)))]);
  await using registry = localRegistry({ directory: join(home, "run") });
  [record] = (await goRecords(registry, name)) as [GoService];
  expect(record.nodes.map((node) => node.address)).toEqual([address]);
}, 60_000);

afterAll(async () => {
  await seen?.[Symbol.asyncDispose]();
  const code = await end?.();
  rmSync(home, { recursive: true, force: true });
  expect(code).toBe(0);
});

/** The record as the service wrote it, but with the address of the tap. */
const known = (): GoService => ({
  ...record,
  nodes: [{ ...(record.nodes[0] as GoService["nodes"][0]), address: seen.address }],
});

/** Runs a client, and gives the wires that it used. */
async function wires(client: () => Promise<void>): Promise<string[]> {
  const before = seen.connections.map((each) => each.sent().length);
  await client();
  const used = seen.connections.flatMap((each, at) => wiresOf(each.sent(), before[at] ?? 0));
  return [...new Set(used)].toSorted();
}

test("a ts client, by the fast framing", async () => {
  const wire = await wires(async () => {
    await using client = clientOf([known()]);
    const greeter = greeterService(name, client);
    expect((await greeter.hello({ name: "ts" })).msg).toBe("Hello ts");
    const counted: bigint[] = [];
    for await (const { n } of greeter.count({ to: 3n })) counted.push(n);
    expect(counted).toEqual([1n, 2n, 3n]);
  });
  expect(wire).toEqual(["fast"]);
});

describeGo("Go Micro's clients", () => {
  test.each(
    goVersions.flatMap((version) => (["mucp", "grpc"] as const).map((protocol) => [version, protocol] as const)),
  )("%s, by %s", async (version, protocol) => {
    const wire = await wires(async () => {
      await using go = await goPeer({ version, protocol });
      await go.nodes(name, [known()]);
      for (const contentType of ["application/protobuf", "application/json"]) {
        const call = { service: name, endpoint: "Greeter.Hello", contentType };
        expect(await go.callOk({ ...call, body: { name: `Go ${version}` } })).toEqual({ msg: `Hello Go ${version}` });
      }
    });
    expect(wire).toEqual([protocol === "mucp" ? "mucp" : "HTTP/2"]);
  });
});

test("grpc-js", async () => {
  const wire = await wires(async () => {
    const client = new grpcJs.Client(seen.address, grpcJs.credentials.createInsecure());
    try {
      const msg = await new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          "/greeter.Greeter/Hello",
          (request: { name: string }) =>
            Buffer.from(toBinary(HelloRequestSchema, { $typeName: "greeter.HelloRequest", ...request })),
          (bytes) => fromBinary(HelloReplySchema, bytes).msg,
          { name: "grpc-js" },
          (error, value) => (error === null ? resolve(value) : reject(error)),
        );
      });
      expect(msg).toBe("Hello grpc-js");
    } finally {
      client.close();
    }
  });
  expect(wire).toEqual(["HTTP/2"]);
});

const baseUrl = (): string => `http://${seen.address}`;
test.each<[string, () => Transport, string[]]>([
  [
    "Connect on HTTP/1.1",
    () => createConnectTransport({ baseUrl: baseUrl(), httpVersion: "1.1" }),
    ["Connect application/connect+proto", "Connect application/proto"],
  ],
  [
    "Connect, by GET what has no side effects",
    () => createConnectTransport({ baseUrl: baseUrl(), httpVersion: "1.1", useHttpGet: true }),
    ["Connect application/connect+proto", "HTTP/1.1"],
  ],
  ["Connect on HTTP/2", () => createConnectTransport({ baseUrl: baseUrl(), httpVersion: "2" }), ["HTTP/2"]],
  [
    "gRPC-Web on HTTP/1.1",
    () => createGrpcWebTransport({ baseUrl: baseUrl(), httpVersion: "1.1" }),
    ["HTTP/1.1 application/grpc-web+proto"],
  ],
  ["gRPC", () => createGrpcTransport({ baseUrl: baseUrl() }), ["HTTP/2"]],
])("connect-node, by %s", async (_, transport, expected) => {
  const wire = await wires(async () => {
    const client = connectClient(Greeter, transport());
    expect((await client.hello({ name: "connect" })).msg).toBe("Hello connect");
    const counted: bigint[] = [];
    for await (const { n } of client.count({ to: 3n })) counted.push(n);
    expect(counted).toEqual([1n, 2n, 3n]);
  });
  expect(wire).toEqual(expected);
});

describeChromium("a browser", () => {
  test("shows the service's page, which calls it", { timeout: 60_000 }, async () => {
    const wire = await wires(async () => {
      await using browser = await startChromium();
      const page = await browser.context.newPage();
      await page.goto(baseUrl());
      await page.waitForSelector("body[data-done]");
      expect(await page.textContent("#out")).toBe("Hello page\n1\n2\n3\n");
    });
    expect(wire).toEqual(["HTTP/1.1", "HTTP/1.1 application/json"]);
  });
});

/** The shell lines of the section of the README, in whose place the address is the tap's. */
const readme = blocksOf("README.md", readFileSync(`${root}README.md`, "utf8"));
const at = readme.findIndex(({ reason }) => reason.startsWith("interop/one-port.test.ts runs this"));
const lines = (readme[at]?.text ?? "").trim().split("\n");
const printed = (readme[at + 1]?.text ?? "").trim();

describeServer("grpcurl", "go", () => {
  test("the README's lines with curl and grpcurl print what stands below them", async () => {
    expect(lines.filter((line) => line.startsWith("curl ")).length).toBeGreaterThan(1);
    expect(lines.filter((line) => line.startsWith("grpcurl ")).length).toBeGreaterThan(1);
    const PATH = `${dirname(join(await toolPath("grpcurl"), "bin/grpcurl"))}:${process.env["PATH"]}`;
    const wire = await wires(async () => {
      const script = lines.join("\n").replaceAll("localhost:8080", seen.address);
      const { stdout } = await exec("bash", ["-euc", script], { env: { ...process.env, PATH } });
      expect(stdout.trim()).toBe(printed);
    });
    expect(wire).toEqual(["HTTP/1.1", "HTTP/1.1 application/json", "HTTP/2"]);
  });
});
