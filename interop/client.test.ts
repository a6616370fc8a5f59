/** Clients of ours call Go servers, one message each way (wire spec §15, rows 25 to 30, 34, 36, 37, 73). */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createConnection } from "node:net";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Client, Codec, Methods, ProtoEndpoints } from "../packages/ts-micro/src/index.ts";
import { within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { Colour, Greeter } from "./proto/gen/greeter_pb.ts";
import { clientOf, LIMIT_MS, long, messages, portOf, tap, type Tap } from "./world.ts";

const service = "greeter";
/** Sequential calls of row 26. */
const sequential = 20_000;

describeGo("clients of ours call Go servers", () => {
  describe.each(goVersions)("%s", (version) => {
    let go: GoPeer;
    let client: Client;
    let greeter: Methods<ProtoEndpoints<typeof Greeter>>;

    beforeAll(async () => {
      go = await goPeer({ version, serve: true, name: service });
      client = clientOf([go.service]);
      greeter = client.service(service, Greeter);
    });
    afterAll(async () => {
      await client?.close();
      await go?.close();
    });

    /** A client whose connections pass through a proxy. */
    function behind(wire: Tap, options: Parameters<typeof clientOf>[1] = {}): Client {
      return clientOf([go.service], { through: wire.address, ...options });
    }

    const failed = (call: Promise<unknown>): Promise<unknown> =>
      within(
        call.then(
          () => "no error",
          (error: unknown) => error,
        ),
        "the call settles",
        60_000,
      );

    test(`row 25 ${version}: calls in every codec have their results, and what the server echoes does no harm`, async () => {
      for (const contentType of ["json", "protobuf", "json-rpc", "proto-rpc"].map((name) => `application/${name}`)) {
        const typed = client.service(service, Greeter, { contentType });
        for (const name of ["Ann", "Bob"]) expect((await typed.hello({ name })).msg, contentType).toBe(`Hello ${name}`);
        expect(await typed.nothing({})).toMatchObject({ $typeName: "greeter.Empty" });
        const value = {
          firstName: "Zoë",
          bigNumber: 9007199254740993n,
          colour: Colour.BLUE,
          rawData: Uint8Array.of(0, 254),
        };
        expect(await typed.kinds(value), contentType).toMatchObject(value);
        const more = {
          ...{ innerList: [{ streetName: "s" }], countsByKey: { a: 1n << 60n }, maybeZero: 0, isOn: true },
          createdAt: timestampFromMs(-1500),
        };
        expect(await typed.kinds(more as never), contentType).toMatchObject(more);
      }
      const seen = (await go.invocations("Greeter.Hello")).map(({ contentType }) => contentType);
      expect(new Set(seen).size).toBe(4);
    });

    test(`row 25 ${version}: the untyped call speaks JSON with Go structs and messages alike`, async () => {
      expect(await client.call(service, "Greeter.Hello", { name: "John" })).toEqual({ msg: "Hello John" });
      expect(await client.call(service, "Plain.Hello", { name: "John" })).toMatchObject({ msg: "Hello John" });
    });

    test(`row 25 ${version}: bytes are echoed in octet-stream`, async () => {
      const bytes = randomBytes(1 << 20);
      const contentType = "application/octet-stream";
      const echoed = await client.call<Uint8Array>(service, "Raw.Echo", bytes, { contentType });
      expect(Buffer.from(echoed).equals(bytes)).toBe(true);
    });

    test(
      `row 26 ${version}: ${sequential} calls one after another on one connection are all answered`,
      async () => {
        await using wire = await tap(go.address);
        await using quiet = await goPeer({ version, serve: true, name: service, trace: false });
        await using ours = clientOf([quiet.service], { poolTtl: "1h" });
        const { hello } = ours.service(service, Greeter);
        for (let n = 0; n < sequential; n++) {
          const { msg } = await hello({ name: `n${n}` });
          if (msg !== `Hello n${n}`) throw new Error(`call ${n} got ${msg}`);
        }
        expect((await quiet.counts())["Greeter.Hello"]).toBe(sequential);
        // The same in little, where the connections can be counted.
        await using counted = behind(wire, { poolTtl: "1h" });
        for (let n = 0; n < 200; n++) await counted.service(service, Greeter).hello({ name: "x" });
        expect(wire.connections).toHaveLength(1);
      },
      LIMIT_MS * 2,
    );

    test(`row 27 ${version}: after an error the same connection serves on, without a trace of it`, async () => {
      await using wire = await tap(go.address);
      await using ours = behind(wire);
      const typed = ours.service(service, Greeter);
      expect((await typed.hello({ name: "first" })).msg).toBe("Hello first");
      expect(await failed(typed.fail({ kind: "conflict", detail: "no" }))).toMatchObject({ code: "CONFLICT" });
      for (const name of ["a", "b"]) expect((await typed.hello({ name })).msg).toBe(`Hello ${name}`);
      expect(wire.connections).toHaveLength(1);
      const requests = messages(wire.sent());
      expect(requests).toHaveLength(4);
      for (const { headers } of requests) expect(headers).not.toHaveProperty("micro-error");
      // An error on the first request is not in the headers that Go echoes either.
      await using other = behind(wire);
      expect(await failed(other.service(service, Greeter).fail({ kind: "plain", detail: "no" }))).toMatchObject({
        detail: "no",
      });
      expect((await other.service(service, Greeter).hello({ name: "c" })).msg).toBe("Hello c");
      expect(wire.connections).toHaveLength(2);
    });

    test(`row 28 ${version}: unknown endpoints, malformed JSON and unknown fields are errors with Go's text`, async () => {
      const call = (endpoint: string, body: object): Promise<unknown> => failed(client.call(service, endpoint, body));
      // Go gives neither id nor number with them; the code that we can tell is told.
      const missing = { id: "", status: 0, code: "NOT_FOUND", layer: "remote" };
      expect(await call("Greeter.Nope", {})).toMatchObject({ ...missing, detail: "rpc: can't find method Nope" });
      expect(await call("Nope.Hello", {})).toMatchObject({ ...missing, detail: "rpc: can't find service Nope" });
      const ill = "rpc: service/endpoint request ill-formed: Foo";
      expect(await call("Foo", {})).toMatchObject({ layer: "remote", detail: ill });
      const bare = { id: "", status: 0, code: "INTERNAL", layer: "remote" };
      const unknown = await call("Greeter.Hello", { nope: 1 });
      expect(unknown).toMatchObject({ ...bare, detail: expect.stringContaining('unknown field "nope"') });
      const asWritten: Codec = {
        name: "as written",
        contentTypes: ["application/json"],
        encode: (value) => Buffer.from(String(value)),
        decode: (body) => Buffer.from(body).toString(),
      };
      await using careless = clientOf([go.service], { codecs: [asWritten] });
      for (const text of ["{", '{"name":', "nonsense", '{"name":5}'])
        expect(await failed(careless.call(service, "Greeter.Hello", text)), text).toMatchObject({
          ...bare,
          detail: expect.stringMatching(/./),
        });
      expect(await careless.call(service, "Greeter.Hello", '{"name" : "x"}')).toBe('{"msg":"Hello x"}\n');
    });

    test(`row 29 ${version}: Go's errors have their code, id and detail with us, in every codec`, async () => {
      for (const contentType of ["json", "protobuf", "json-rpc", "proto-rpc"].map((name) => `application/${name}`)) {
        const { fail } = client.service(service, Greeter, { contentType });
        expect(await failed(fail({ kind: "conflict", detail: "already there" }))).toMatchObject({
          ...{ code: "CONFLICT", status: 409, id: service, detail: "already there", layer: "remote" },
        });
      }
      const detail = 'say "no"; <b>für Ängste \u{1F600}</b>';
      expect(await failed(greeter.fail({ kind: "notfound", detail }))).toMatchObject({ code: "NOT_FOUND", detail });
      const custom = { kind: "custom", detail: "tea", code: 418 };
      expect(await failed(greeter.fail(custom))).toMatchObject({ status: 418, id: "greeter.custom", detail: "tea" });
      const plain = { kind: "plain", detail: "just text" };
      expect(await failed(greeter.fail(plain))).toMatchObject({
        code: "INTERNAL",
        detail: "just text",
        layer: "remote",
      });
    });

    // The reference's fault: neither is ever answered.
    test(`row 30 ${version}: a panic, and an error in octet-stream, end by our own timeout and cost the connection`, async () => {
      await using wire = await tap(go.address);
      await using ours = behind(wire);
      const options = { timeout: "2s" };
      const panic = ours.service(service, Greeter).fail({ kind: "panic", detail: "boom" }, options);
      expect(await failed(panic)).toMatchObject({ code: "TIMEOUT", status: 408 });
      await go.event("finished", ({ panicked }) => panicked === true);
      const raw = { ...options, contentType: "application/octet-stream" };
      expect(await failed(ours.call(service, "Raw.Fail", Uint8Array.of(1), raw))).toMatchObject({ code: "TIMEOUT" });
      expect((await go.counts())["Raw.Fail"]).toBe(1);
      await within(
        wire.proxy.until(() => wire.connections.length === 2 && wire.connections.every(({ link }) => link.closed)),
        "both connections are closed",
        60_000,
      );
      expect(wire.answered()).toBe("");
      expect((await ours.service(service, Greeter).hello({ name: "after" })).msg).toBe("Hello after");
    });

    test(`row 34 ${version}: a call that we leave closes its connection, the handler is told, and the next call works`, async () => {
      await using wire = await tap(go.address);
      await using ours = behind(wire);
      const typed = ours.service(service, Greeter);
      const leaving = new AbortController();
      const options = { signal: leaving.signal, timeout: "5m", metadata: { "X-Mark": "to be left" } } as const;
      const call = failed(typed.slow({ ms: 600_000n, tag: "left" }, options));
      await go.event("invoked", ({ call }) => JSON.stringify(call).includes("to be left"));
      leaving.abort();
      expect(await call).toMatchObject({ code: "CANCELLED" });
      expect(await go.event("cancelled", ({ tag }) => tag === "left")).toMatchObject({ detail: "context canceled" });
      expect((await typed.hello({ name: "next" })).msg).toBe("Hello next");
    });

    test(`row 36 ${version}: with a time of 1 ns a Go handler finds its context expired, and only that handler minds`, async () => {
      const rewrite = (text: string): string =>
        text.replace(/Timeout: (\d+)/, (_, digits: string) => `Timeout: ${"1".padEnd(digits.length)}`);
      await using wire = await tap(go.address, { rewrite });
      await using ours = behind(wire);
      const typed = ours.service(service, Greeter);
      // v4 and v5 give the bare text of Go's context.
      expect(await failed(typed.slow({ ms: 600_000n, tag: "1ns" }))).toMatchObject({
        ...{ code: "TIMEOUT", detail: "context deadline exceeded", layer: "remote" },
      });
      expect((await typed.hello({ name: "anyway" })).msg).toBe("Hello anyway");
      const seen = (await go.invocations("Greeter.Slow")).map(({ metadata }) => metadata["Timeout"]);
      expect(seen).toContain("1");
    });

    test(`row 37 ${version}: metadata beyond ASCII, and 64 KiB of it, arrive as they are`, async () => {
      const metadata = { "X-Word": "größer 日本 \u{1F600}", "X-Large": "é".repeat(32 * 1024), "x-lower": "42" };
      const echoed = await greeter.echo({ note: "n" }, { metadata });
      expect(echoed.metadata).toMatchObject({
        ...{ "X-Word": metadata["X-Word"], "X-Large": metadata["X-Large"], "X-Lower": "42" },
      });
    });

    test(
      `row 73 ${version}: nothing is dialled before the first call; Go closes a connection that says nothing for 5 s`,
      async () => {
        await using wire = await tap(go.address);
        await using ours = behind(wire);
        await ours.start();
        const silent = createConnection(portOf(go.address), "127.0.0.1");
        silent.resume().on("error", () => {});
        // Measured by Go's own clock: when it has closed that one, more than its 5 s have passed for ours.
        if (long) await within(new Promise((resolve) => silent.once("end", resolve)), "Go closes it", 60_000);
        silent.destroy();
        expect(wire.connections).toHaveLength(0);
        expect((await ours.service(service, Greeter).hello({ name: "late" })).msg).toBe("Hello late");
        expect(wire.connections).toHaveLength(1);
      },
      LIMIT_MS,
    );
  });
});
