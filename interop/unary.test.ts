/** Go clients call whole services of ours, one message each way (wire spec §15, rows 1 to 8, 13, 14, 16, 18, 72, 74). */
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, type GoPeer, goVersions, record } from "./peer.ts";
import { greeter, LIMIT_MS, long, messages, type OurGreeter, portOf, tap } from "./world.ts";

const service = "greeter";
const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

describeGo("Go clients call services of ours", () => {
  describe.each(goVersions)("%s", (version) => {
    let ours: OurGreeter;
    let go: GoPeer;

    beforeAll(async () => {
      ours = await greeter();
      go = await goPeer({ version });
      await go.nodes(service, ours.records);
    });
    afterAll(async () => {
      await go?.close();
      await ours?.[Symbol.asyncDispose]();
    });

    /** Calls through a proxy, on a connection of its own; gives what it carried. */
    async function tapped(
      args: Omit<Parameters<GoPeer["call"]>[0], "service" | "address">,
    ): Promise<{ result: Awaited<ReturnType<GoPeer["call"]>>; sent: string; answered: string }> {
      await using wire = await tap(ours.address);
      const result = await go.call({ service, address: [wire.address], ...args });
      return { result, sent: wire.sent(), answered: wire.answered() };
    }

    test(`row 1 ${version}: a unary JSON call is a POST with Go's headers, and is answered`, async () => {
      const { result, sent, answered } = await tapped({ endpoint: "Greeter.Hello", body: { name: "John" } });
      expect(result.body).toEqual({ msg: "Hello John" });
      const [request, ...more] = messages(sent);
      expect(more).toEqual([]);
      expect(request).toMatchObject({ start: "POST / HTTP/1.1", body: '{"name":"John"}\n' });
      expect(request?.headers).toMatchObject({ "content-type": "application/json", timeout: "5000000000" });
      const [reply] = messages(answered);
      expect(reply).toMatchObject({ start: "HTTP/1.1 200 OK", body: expect.stringContaining('{"msg":"Hello John"}') });
      const { metadata } = ours.last("Greeter.Hello").ctx;
      expect(metadata.get("Content-Type")).toBe("application/json");
      expect(metadata.get("timeout")).toBe("5000000000");
      expect((await go.call({ service, endpoint: "Plain.Hello", body: { name: "Ann" } })).body).toMatchObject({
        msg: "Hello Ann",
      });
    });

    test(`row 1 ${version}: a service is found by the record that it registered itself`, async () => {
      const [found] = ours.records;
      expect(found?.nodes).toEqual([
        expect.objectContaining({
          address: ours.address,
          metadata: expect.objectContaining({ protocol: "mucp", transport: "http", server: "mucp" }),
        }),
      ]);
      expect(await go.callOk({ service, endpoint: "Greeter.Hello", body: { name: "found" } })).toEqual({
        msg: "Hello found",
      });
    });

    test(`row 2 ${version}: protobuf is raw bytes both ways`, async () => {
      const contentType = "application/protobuf";
      const args = { endpoint: "Greeter.Hello", contentType, body: { name: "John" } };
      const { result, sent, answered } = await tapped(args);
      expect(result.body).toEqual({ msg: "Hello John" });
      expect(messages(sent)[0]?.body).toBe("\x0a\x04John");
      expect(messages(answered)[0]?.body).toBe("\x0a\x0aHello John");
    });

    test(`row 3 ${version}: empty protobuf messages are a chunked body of nothing, and a reply of no length`, async () => {
      const { result, sent, answered } = await tapped({
        endpoint: "Greeter.Nothing",
        contentType: "application/protobuf",
        body: {},
      });
      expect(result).toMatchObject({ body: {} });
      expect(messages(sent)[0]?.headers).toMatchObject({ "transfer-encoding": "chunked" });
      expect(messages(answered)[0]).toMatchObject({ headers: { "content-length": "0" }, body: "" });
    });

    test(`row 4 ${version}: a JSON handler that returns nothing answers {}`, async () => {
      const { result, answered } = await tapped({ endpoint: "Bare.Nothing", as: "plain", body: {} });
      expect(result).toMatchObject({ body: {} });
      expect(messages(answered)[0]?.body.trim()).toBe("{}");
    });

    test(`row 4 ${version}: the reference fails on an empty JSON body, which is why`, async () => {
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        const address = [`127.0.0.1:${(server.address() as { port: number }).port}`];
        const { error } = await go.call({ service, endpoint: "Greeter.Hello", body: { name: "x" }, address });
        expect(error).toMatchObject({ id: "go.micro.client.codec", code: 500, detail: "EOF" });
      } finally {
        server.close();
      }
    });

    test(`row 5 ${version}: json-rpc is answered in its envelope`, async () => {
      const { result, sent, answered } = await tapped({
        endpoint: "Greeter.Hello",
        contentType: "application/json-rpc",
        body: { name: "John" },
      });
      expect(result.body).toEqual({ msg: "Hello John" });
      const { id } = JSON.parse(messages(sent)[0]?.body ?? "") as { id: string };
      expect(JSON.parse(messages(answered)[0]?.body ?? "")).toEqual({ id, result: { msg: "Hello John" }, error: null });
    });

    test(`row 5 ${version}: json-rpc has messages in the form of Go's structs, which is all that Go reads there`, async () => {
      const contentType = "application/json-rpc";
      const body = {
        ...{ firstName: "Zoë", bigNumber: "9007199254740993", ratio: 0.5, isOn: true, rawData: "Af4=" },
        ...{ colour: "COLOUR_BLUE", createdAt: "1969-12-31T23:59:58.500Z", innerList: [{ streetName: "s" }] },
        ...{ countsByKey: { a: "1152921504606846976" }, maybeZero: 0 },
      };
      expect(await go.call({ service, endpoint: "Greeter.Kinds", contentType, body })).toMatchObject({ body });
      expect(ours.last("Greeter.Kinds").request).toMatchObject({ firstName: "Zoë", bigNumber: 9007199254740993n });
      // The reference's fault: no Go reads a oneof there, its own neither.
      const { error } = await go.call({ service, endpoint: "Greeter.Kinds", contentType, body: { choiceText: "x" } });
      expect(error).toMatchObject({ id: "go.micro.client.codec", detail: expect.stringContaining("AllKinds.Choice") });
    });

    test(`row 6 ${version}: proto-rpc is answered in its two blocks`, async () => {
      await using fresh = await goPeer({ version });
      await using wire = await tap(ours.address);
      const hello = {
        ...{ service, endpoint: "Greeter.Hello", contentType: "application/proto-rpc", body: { name: "John" } },
        address: [wire.address],
      };
      for (const _ of [0, 1]) expect((await fresh.call(hello)).body).toEqual({ msg: "Hello John" });
      const hex = (text: string): string[] =>
        messages(text).map(({ body }) => Buffer.from(body, "latin1").toString("hex"));
      // Ids count from 0, which proto3 leaves out (wire spec §1.6).
      expect(hex(wire.sent())).toEqual([
        "0000000f0a0d477265657465722e48656c6c6f000000060a044a6f686e",
        "000000180a0d477265657465722e48656c6c6f110100000000000000000000060a044a6f686e",
      ]);
      expect(hex(wire.answered())).toEqual([
        "000000000000000c0a0a48656c6c6f204a6f686e",
        "000000091101000000000000000000000c0a0a48656c6c6f204a6f686e",
      ]);
    });

    test(`row 7 ${version}: for a node without a protocol Go speaks json-rpc although JSON was asked, and is answered`, async () => {
      await using wire = await tap(ours.address);
      await go.nodes("old", [record("old", wire.address, { protocol: "" })]);
      const hello = { service: "old", endpoint: "Greeter.Hello", body: { name: "John" } };
      expect(await go.callOk(hello)).toEqual({ msg: "Hello John" });
      const [request] = messages(wire.sent());
      expect(request?.headers).toMatchObject({ "content-type": "application/json-rpc", accept: "application/json" });
      expect(JSON.parse(request?.body ?? "")).toMatchObject({ method: "Greeter.Hello", params: [{ name: "John" }] });
      expect(await go.callOk({ ...hello, contentType: "application/protobuf" })).toEqual({ msg: "Hello John" });
      const failing = { service: "old", endpoint: "Greeter.Fail", body: { kind: "conflict", detail: "twice" } };
      expect((await go.call(failing)).error).toMatchObject({ code: 409, detail: "twice" });
    });

    test(`row 8 ${version}: 1 MiB of random bytes comes back as it was sent`, async () => {
      const bytes = randomBytes(1 << 20);
      const echoed = await go.call({
        service,
        endpoint: "Raw.Echo",
        contentType: "application/octet-stream",
        bytes,
        connectionTimeoutMs: 60_000,
      });
      expect(echoed.bytes?.equals(bytes)).toBe(true);
    });

    test(
      `row 13 ${version}: calls some time apart share a connection of Go's pool`,
      async () => {
        await using wire = await tap(ours.address);
        await using fresh = await goPeer({ version });
        const hello = { service, endpoint: "Greeter.Hello", body: { name: "x" }, address: [wire.address] };
        // In full: past Node's own limit of 5 s for idle connections, and near the end of Go's minute.
        for (const pause of long ? [0, 10, 40] : [0, 0, 0]) {
          await sleep(pause);
          expect(await fresh.callOk(hello)).toEqual({ msg: "Hello x" });
        }
        expect(wire.connections).toHaveLength(1);
      },
      LIMIT_MS,
    );

    test(
      `row 14 ${version}: a connection past its age is dropped by Go and a new one dialled, without an error`,
      async () => {
        await using wire = await tap(ours.address);
        await using fresh = await goPeer({ version, ...(long ? {} : { poolTtlMs: 1 }) });
        const hello = { service, endpoint: "Greeter.Hello", body: { name: "x" }, address: [wire.address] };
        for (const pause of long ? [0, 70] : [0, 0.05, 0.05]) {
          await sleep(pause);
          expect(await fresh.callOk(hello)).toEqual({ msg: "Hello x" });
        }
        expect(wire.connections.length).toBeGreaterThan(1);
        await within(
          wire.proxy.until(() => wire.connections[0]?.link.closed === true),
          "the old connection is closed",
          60_000,
        );
      },
      LIMIT_MS,
    );

    test(`row 16 ${version}: 200 calls at once get each their own answer, on at most 200 connections`, async () => {
      await using wire = await tap(ours.address);
      const calls = { n: 600, concurrency: 200, body: { name: "n{i}" }, expect: { msg: "Hello n{i}" } };
      const limits = { connectionTimeoutMs: 60_000, requestTimeoutMs: 60_000 };
      const many = { service, endpoint: "Greeter.Hello", address: [wire.address], ...calls, ...limits };
      expect(await go.callMany(many)).toMatchObject({ ok: 600, failed: 0, mismatched: 0, errors: {} });
      expect(wire.connections.length).toBeLessThanOrEqual(200);
    });

    test(`row 18 ${version}: metadata is found whatever the case of its name, and keeps its bytes`, async () => {
      const metadata = { "x-user-id": "42", Foo_bar: "é", "X-Mixed-CASE": "日本" };
      await go.callOk({ service, endpoint: "Greeter.Hello", body: { name: "John" }, metadata });
      const seen = ours.last("Greeter.Hello").ctx.metadata;
      expect([seen.get("X-User-Id"), seen.get("x-user-id"), seen.get("X-USER-ID")]).toEqual(["42", "42", "42"]);
      expect([seen.get("foo_bar"), seen.get("x-mixed-case")]).toEqual(["é", "日本"]);
    });

    test(`row 74 ${version}: a JSON request of a type with a oneof is read, set and unset`, async () => {
      const call = { endpoint: "Greeter.Kinds", like: "Greeter.Kinds" };
      const unset = await tapped({ ...call, body: { firstName: "Ann" } });
      // v4 writes the key of an unset oneof, and can itself read neither form (wire spec §1.6).
      if (version === "v4") expect(unset.sent).toContain('"Choice":null');
      expect(unset.result).toMatchObject({ body: { firstName: "Ann" } });
      expect(ours.last("Greeter.Kinds").request).toMatchObject({ firstName: "Ann", choice: { case: undefined } });
      const set = await tapped({ ...call, body: { firstName: "Bob", choiceText: "this" } });
      if (version === "v4") expect(set.sent).toContain('"Choice":{"ChoiceText":"this"}');
      expect(set.result).toMatchObject({ body: { firstName: "Bob", choiceText: "this" } });
      expect(ours.last("Greeter.Kinds").request).toMatchObject({ choice: { case: "choiceText", value: "this" } });
      const number = await tapped({ ...call, body: { choiceNumber: "9007199254740993" } });
      expect(number.result).toMatchObject({ body: { choiceNumber: "9007199254740993" } });
    });

    test(`row 72 ${version}: what a Go handler leaks into its call to us does no harm`, async () => {
      await using relay = await goPeer({ version, serve: true, name: "relay" });
      await relay.relay({ service, address: [ours.address] });
      const call = { endpoint: "Relay.Hello", body: { name: "Ann" }, metadata: { "X-Leak": "yes" } };
      const address = [relay.address];
      expect(await go.callOk({ service: "relay", address, ...call })).toEqual({ msg: "Hello Ann" });
      const { metadata, service: called, endpoint, local } = ours.last("Greeter.Hello").ctx;
      expect([metadata.get("x-leak"), called, endpoint]).toEqual(["yes", service, "Greeter.Hello"]);
      // The relay's own listener leaks as Local; ours replaces it.
      expect(metadata.get("local")).toBe(local);
      expect(portOf(local)).toBe(portOf(ours.address));

      // From inside a stream its Micro-Stream leaks into a unary call, the same one each time.
      const stream = await go.stream({ service: "relay", address, endpoint: "Relay.Stream" });
      for (const name of ["a", "b", "c"]) {
        await stream.send({ name });
        expect((await stream.recv()).messages).toEqual([{ body: { msg: `Hello ${name}` } }]);
      }
      expect(ours.last("Greeter.Hello").ctx.metadata.has("Micro-Stream")).toBe(true);
      await stream.close();
      await eventually(() => ours.service.server.stats.inFlight === 0, "nothing is left under way", 60_000);
    });
  });
});
