/** Tools that know gRPC and HTTP/2 from elsewhere: grpcurl by reflection, envoy in between, h2spec on the port. */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";
import { describeServer, toolPath } from "../servers/tools.ts";
import { clientOf, greeter, type Ours } from "./grpc-world.ts";

const execute = promisify(execFile);

describeServer("grpcurl", "go", () => {
  let ours: Ours;
  let binary: string;
  beforeAll(async () => {
    ours = await greeter();
    binary = join(await toolPath("grpcurl"), "bin/grpcurl");
  });
  afterAll(() => ours?.[Symbol.asyncDispose]());
  const run = async (...args: string[]): Promise<string> => {
    const { stdout } = await execute(binary, ["-plaintext", ...args]);
    return stdout;
  };

  it("lists and describes by reflection", async () => {
    const listed = (await run(ours.address, "list")).trim().split("\n");
    expect(listed).toEqual(
      [
        "Plain",
        "greeter.Greeter",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
      ].toSorted(),
    );
    expect(await run(ours.address, "describe", "greeter.Greeter")).toContain(
      "rpc Chat ( stream .greeter.ChatMessage ) returns ( stream .greeter.ChatMessage )",
    );
    expect(await run(ours.address, "describe", "greeter.AllKinds")).toContain(
      ".google.protobuf.Timestamp created_at = 8",
    );
    await expect(run(ours.address, "describe", "Plain")).rejects.toMatchObject({
      stderr: expect.stringContaining("Symbol not found"),
    });
  });

  it("calls by reflection, unary and streams, and shows the error", async () => {
    expect(JSON.parse(await run("-d", '{"name":"curl"}', ours.address, "greeter.Greeter/Hello"))).toEqual({
      msg: "Hello curl",
    });
    expect((await run("-d", '{"count":3}', ours.address, "greeter.Greeter/Stream")).match(/\{/g)).toHaveLength(3);
    expect(
      JSON.parse(await run("-d", '{"text":"a"}{"text":"b"}', ours.address, "greeter.Greeter/Collect")),
    ).toMatchObject({ last: "b" });
    await expect(
      run("-d", '{"kind":"conflict","detail":"sold"}', ours.address, "greeter.Greeter/Fail"),
    ).rejects.toMatchObject({
      stderr: expect.stringContaining("AlreadyExists"),
    });
  });

  it("asks for health", async () => {
    const proto = join(mkdtempSync(join(tmpdir(), "ts-micro-health-")), "health.proto");
    const text = `syntax = "proto3"; package grpc.health.v1; message HealthCheckRequest { string service = 1; } message HealthCheckResponse { enum S { UNKNOWN = 0; SERVING = 1; } S status = 1; } service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }`;
    const { writeFileSync } = await import("node:fs");
    writeFileSync(proto, text);
    try {
      const ask = (service: string): Promise<string> =>
        run(
          "-import-path",
          join(proto, ".."),
          "-proto",
          "health.proto",
          "-d",
          JSON.stringify({ service }),
          ours.address,
          "grpc.health.v1.Health/Check",
        );
      for (const service of ["", "greeter.Greeter", "Plain"])
        expect(JSON.parse(await ask(service))).toEqual({ status: "SERVING" });
      await expect(ask("nope")).rejects.toMatchObject({ stderr: expect.stringContaining("NotFound") });
    } finally {
      rmSync(join(proto, ".."), { recursive: true });
    }
  });
});

describeServer("h2spec", "go", () => {
  it("strict: at least as many as node:http2 by itself", { timeout: 300_000 }, async () => {
    await using ours = await greeter();
    const binary = join(await toolPath("h2spec"), "bin/h2spec");
    const port = ours.address.slice(ours.address.lastIndexOf(":") + 1);
    const { stdout } = await execute(binary, ["-h", "127.0.0.1", "-p", port, "-S", "-o", "5"], {
      maxBuffer: 1 << 24,
    }).catch((error: { stdout: string }) => error);
    const [, total, passed] = /(\d+) tests, (\d+) passed/.exec(stdout) ?? [];
    expect(Number(total)).toBeGreaterThanOrEqual(140);
    // Node 24 and later do less by themselves.
    const least = Number(process.versions.node.split(".")[0]) < 22 ? 137 : 134;
    expect(Number(passed), stdout.slice(-6000)).toBeGreaterThanOrEqual(least);
  });
});

describeServer("envoy", "python3", () => {
  it("as a plain HTTP/2 proxy between ours", { timeout: 120_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "ts-micro-envoy-"));
    await using ours = await greeter();
    const built = await toolPath("envoy");
    const port = await freePort();
    const backend = ours.address.slice(ours.address.lastIndexOf(":") + 1);
    const config = readFileSync(join(built, "envoy.yaml"), "utf8")
      .replaceAll("@PORT@", String(port))
      .replaceAll("@ADMIN@", String(await freePort()))
      .replaceAll("@BACKEND@", backend);
    const envoy = spawn(
      join(built, "bin/envoy"),
      [
        "--config-yaml",
        config,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "critical",
        "--use-dynamic-base-id",
      ],
      { cwd: folder, stdio: "ignore" },
    );
    const ended = new Promise((resolve) => envoy.once("exit", resolve));
    try {
      await reachable(port);
      await using client = clientOf(`127.0.0.1:${port}`);
      const stub = client.service("greeter", Greeter);
      expect(await stub.hello({ name: "envoy" })).toMatchObject({ msg: "Hello envoy" });
      await expect(stub.fail({ kind: "conflict", detail: "sold" })).rejects.toMatchObject({
        code: "CONFLICT",
        detail: "sold",
      });
      const got: bigint[] = [];
      for await (const { n } of stub.stream({ count: 300n })) got.push(n);
      expect(got).toHaveLength(300);
      const chat = stub.chat();
      const replies = chat[Symbol.asyncIterator]();
      await chat.send({ text: "a" });
      expect((await replies.next()).value).toMatchObject({ text: "re: a" });
      chat.end();
      expect(await replies.next()).toMatchObject({ done: true });
    } finally {
      envoy.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function reachable(port: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (ok) return;
    if (attempt > 600) throw new Error("envoy does not listen");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("the list of test servers", () => {
  it("has the tools of this file", () => {
    const script = readFileSync(new URL("../../../../scripts/install-test-servers.sh", import.meta.url), "utf8");
    for (const name of ["grpcurl:go", "h2spec:go", "envoy:python3"]) expect(script).toContain(name);
  });
});
