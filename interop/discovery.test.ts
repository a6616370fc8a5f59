/** Default against default: Go's and our services find each other by mDNS and call each other (wire spec §15 row 44). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, createService } from "../packages/ts-micro/src/index.ts";
import { describeInNamespace } from "./netns.ts";
import { describeGo, goPeer, goVersions } from "./peer.ts";
import { Greeter, type HelloRequest } from "./proto/gen/greeter_pb.ts";
import { LIMIT_MS } from "./world.ts";

describeInNamespace(import.meta.url, "default registries call each other", () => {
  describeGo("with real Go peers", () => {
    let env: Record<string, string>;
    beforeAll(() => {
      env = { MICRO_LOCAL_DIR: mkdtempSync(join(tmpdir(), "ts-micro-discovery-")) };
    });
    afterAll(() => rmSync(env["MICRO_LOCAL_DIR"] ?? "", { recursive: true, force: true }));

    test.each(goVersions)(
      "row 44 %s: a Go client with its defaults finds a service of ours with its defaults, and calls it",
      async (version) => {
        const name = `ours-${version}`;
        await using service = createService({ name, env, address: "127.0.0.1:0", logLevel: "fatal" });
        service.implement(Greeter, { hello: (request: HelloRequest) => ({ msg: `Hello ${request.name}` }) } as never);
        await service.start();
        await using go = await goPeer({ version, registry: "mdns" });
        const hello = { service: name, endpoint: "Greeter.Hello", body: { name: "John" } };
        expect(await go.callOk(hello)).toEqual({ msg: "Hello John" });
        expect(await go.callOk({ ...hello, contentType: "application/protobuf" })).toEqual({ msg: "Hello John" });
        expect(await go.listServices()).toContain(name);
      },
      LIMIT_MS,
    );

    test.each(goVersions)(
      "row 44 %s: a client of ours with its defaults finds a Go service with its defaults, and calls it",
      async (version) => {
        const name = `theirs-${version}`;
        await using go = await goPeer({ version, registry: "mdns", serve: true, name });
        await using client = createClient({ env, logLevel: "fatal" });
        expect(await client.call(name, "Greeter.Hello", { name: "John" })).toEqual({ msg: "Hello John" });
        expect((await client.service(name, Greeter).hello({ name: "Ann" })).msg).toBe("Hello Ann");
        expect(await go.counts()).toMatchObject({ "Greeter.Hello": 2 });
      },
      LIMIT_MS,
    );
  });
});
