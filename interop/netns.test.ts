import { execFile } from "node:child_process";
import { networkInterfaces } from "node:os";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { describeInNamespace } from "./netns.ts";
import { describeGo, goAvailable, goMicroCli, goPeer, goVersions } from "./peer.ts";

const run = promisify(execFile);

const builds = goAvailable ? ["go-peer-v4", "go-peer-v5", "go-micro-cli"] : [];

describeInNamespace(
  import.meta.url,
  "a namespace of its own",
  () => {
    test("has the loopback interface and nothing else", () => {
      expect(Object.keys(networkInterfaces())).toEqual(["lo"]);
    });

    describeGo("for Go's default registry", () => {
      test.each(goVersions)("carries mDNS between Go processes, server %s", async (version) => {
        await using server = await goPeer({ version, serve: true, name: "greeter", registry: "mdns" });
        await using client = await goPeer({ version: version === "v4" ? "v5" : "v4", registry: "mdns" });
        const [found] = await client.getService("greeter");
        expect(found?.nodes.map((node) => node.address)).toEqual([server.address]);
        expect(await client.listServices()).toEqual(["greeter"]);
        const hello = { service: "greeter", endpoint: "Greeter.Hello", body: { name: "John" } };
        expect(await client.callOk(hello)).toEqual({ msg: "Hello John" });
      });

      test("lets the reference command find and call a service", async () => {
        await using server = await goPeer({ version: "v4", serve: true, name: "greeter", registry: "mdns" });
        const command = await goMicroCli();
        expect((await run(command, ["services"])).stdout).toBe("greeter\n");
        const called = await run(command, ["call", "greeter", "Greeter.Hello", '{"name":"Ann"}']);
        expect(JSON.parse(called.stdout)).toEqual({ msg: "Hello Ann" });
        expect(await server.counts()).toMatchObject({ "Greeter.Hello": 1 });
      });
    });
  },
  { builds, limitMs: 900_000 },
);
