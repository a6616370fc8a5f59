/** The rules that keep Go peers safe with us, each by itself: what they would do otherwise is in wire spec §16. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Filter, HandlerInterceptor, Metadata } from "../packages/ts-micro/src/index.ts";
import { eventually, within } from "../packages/ts-micro/src/testing/suite.ts";
import { virtualClock } from "../packages/ts-micro/src/testing/clock.ts";
import { httpTransport } from "../packages/ts-micro/src/transport/http.ts";
import type { CallArgs } from "./peer-types.ts";
import { describeGo, goPeer, type GoPeer, goVersions, record } from "./peer.ts";
import { Greeter } from "./proto/gen/greeter_pb.ts";
import { clientOf, countWrites, greeter, LIMIT_MS, messages, type OurGreeter, portOf, tap } from "./world.ts";

const service = "greeter";
const patient = { connectionTimeoutMs: 120_000, requestTimeoutMs: 120_000 };

describeGo("toward Go", () => {
  describe.each(goVersions)("%s", (version) => {
    let ours: OurGreeter;
    let go: GoPeer;

    beforeAll(async () => {
      ours = await greeter();
      go = await goPeer({ version, serve: true, name: service });
    });
    afterAll(async () => {
      await go?.close();
      await ours?.[Symbol.asyncDispose]();
    });

    test(`${version}: every unary request has a Micro-Stream of its own, across clients and retries of a name`, async () => {
      const before = (await go.invocations()).length;
      await using one = clientOf([go.service]);
      await using two = clientOf([go.service]);
      for (const client of [one, two]) {
        const { hello } = client.service(service, Greeter);
        for (let n = 0; n < 50; n++) await hello({ name: "x" });
        await Promise.all(Array.from({ length: 50 }, () => hello({ name: "x" })));
      }
      const ids = (await go.invocations()).slice(before).map(({ metadata }) => metadata["Micro-Stream"]);
      expect(ids).toHaveLength(200);
      expect(ids).not.toContain(undefined);
      expect(new Set(ids).size).toBe(200);
    });

    test(`${version}: what our handlers add to their replies does not disturb Go's clients, and what a Go server echoes is not shown as such`, async () => {
      const added: HandlerInterceptor = (call, next) => {
        call.ctx.responseHeader.set("X-Seen", "zoë").set("Content-Type", "no").set("Micro-Error", "no");
        call.ctx.responseTrailer.set("X-Cost", "x".repeat(8000));
        return next(call);
      };
      await using other = await greeter({ interceptors: [added] });
      await using wire = await tap(other.address);
      const call = { service, address: [wire.address], retries: 0, ...patient };
      for (const contentType of ["json", "protobuf", "json-rpc", "proto-rpc"].map((name) => `application/${name}`)) {
        const result = await go.call({ ...call, endpoint: "Greeter.Hello", contentType, body: { name: "x" } });
        expect(result.body, contentType).toMatchObject({ msg: "Hello x" });
        const fail = { endpoint: "Greeter.Fail", contentType, body: { kind: "conflict", detail: "no" } };
        expect((await go.call({ ...call, ...fail })).error, contentType).toMatchObject({ code: 409, detail: "no" });
      }
      for (const generated of [false, true]) {
        const count = await go.stream({ ...call, endpoint: "Greeter.Stream", generated, body: { count: 20 } });
        const { messages: got, end } = await count.recvAll();
        expect([got.length, end]).toEqual([20, true]);
        await count.close();
      }
      const chat = await go.stream({ ...call, endpoint: "Greeter.Chat" });
      await chat.sendAll(["a", "b", "quit"].map((text) => ({ text })));
      const { messages: got, end } = await chat.recvAll();
      expect([got.length, end]).toEqual([2, true]);
      await chat.close();
      const answers = wire.connections.map((each) => each.answered()).join("");
      for (const name of ["Micro-Header-X-Seen: ", "Micro-Trailer-X-Cost: "]) expect(answers).toContain(name);
      expect(answers).not.toContain("Micro-Header-Content-Type");
      await using client = clientOf([go.service]);
      const heard: string[] = [];
      const options = {
        onHeader: (header: Metadata) => heard.push(...Object.keys(header.toObject())),
        onTrailer: (trailer: Metadata) => heard.push(...Object.keys(trailer.toObject())),
        metadata: { "X-Sent": "1" },
      };
      expect(await client.service(service, Greeter).hello({ name: "x" }, options)).toMatchObject({ msg: "Hello x" });
      expect(heard).toEqual([]);
    });

    test(`${version}: each reply leaves in one write, head and body, small, large or an error`, async () => {
      await using other = await greeter();
      const writes = countWrites("server", portOf(other.address));
      try {
        const call = { service, address: [other.address], retries: 0, ...patient };
        let replies = 0;
        const once = async (args: Omit<CallArgs, "service">): Promise<void> => {
          await go.call({ ...call, ...args });
          expect(writes.total, JSON.stringify(args).slice(0, 100)).toBe(++replies);
        };
        for (const contentType of ["json", "protobuf", "json-rpc", "proto-rpc"].map((name) => `application/${name}`)) {
          await once({ endpoint: "Greeter.Hello", contentType, body: { name: "x" } });
          await once({ endpoint: "Greeter.Nothing", contentType, body: {} });
          await once({ endpoint: "Greeter.Fail", contentType, body: { kind: "conflict", detail: "no" } });
          for (const want of [1000, 64 * 1024, 70_000, 2 << 20])
            await once({ endpoint: "Greeter.Big", contentType, body: { want } });
        }
        await once({ endpoint: "Nope.Nope", as: "plain", body: {} });
      } finally {
        writes.stop();
      }
    });

    test(`${version}: each request leaves in one write`, async () => {
      const writes = countWrites("client", portOf(go.address));
      try {
        await using client = clientOf([go.service]);
        const { hello, big } = client.service(service, Greeter);
        for (let n = 1; n <= 10; n++) {
          await hello({ name: "x" });
          expect(writes.total).toBe(n);
        }
        await big({ data: new Uint8Array(2 << 20) });
        expect(writes.counts).toEqual([11]);
      } finally {
        writes.stop();
      }
    });

    test(`${version}: whatever a request is, it has exactly one reply, and that a 200`, async () => {
      const rewrite = (text: string): string =>
        text
          .replace(
            "Content-Type: application/json\r\nMicro-Endpoint: Bare",
            "Content-Type: application/jsox\r\nMicro-Endpoint: Bare",
          )
          // The head alone: its body may come in a chunk of its own.
          .replace(/(?<=Micro-Endpoint: Greeter\.Slow\r\n[^]*Timeout: )5000000000/, "1         ");
      await using wire = await tap(ours.address, { rewrite });
      const call = { service, address: [wire.address], retries: 0 };
      const hello = { ...call, endpoint: "Greeter.Hello" };
      await go.callOk({ ...hello, body: { name: "x" } });
      for (const text of ["{", "nonsense", "[]", '{"name":5}', "null", ""])
        await go.call({ ...hello, text, as: "typed" });
      for (const contentType of ["protobuf", "json-rpc", "proto-rpc"].map((name) => `application/${name}`))
        await go.call({ ...hello, contentType, bytes: Uint8Array.of(255, 255, 255), as: "typed" });
      for (const kind of ["plain", "conflict", "timeout", "internal"])
        await go.call({ ...call, endpoint: "Greeter.Fail", body: { kind, detail: "x" } });
      for (const endpoint of ["Nope.Nope", "Greeter.Nope", "ill", "Bare.Nothing", "Greeter.Stream", "Greeter.Chat"])
        await go.call({ ...call, endpoint, as: "plain", body: {} });
      await go.call({ ...call, endpoint: "Greeter.Slow", body: { ms: 600_000 } });
      await go.call({
        ...call,
        endpoint: "Raw.Fail",
        contentType: "application/octet-stream",
        bytes: Uint8Array.of(1),
      });
      // More than a service takes: the reply comes while Go is still sending.
      const large = await go.call({
        ...call,
        endpoint: "Greeter.Big",
        body: { data: "A".repeat(8 << 20) },
        ...patient,
      });
      expect(large.error?.text).toBeDefined();
      expect((await go.call({ ...hello, body: { name: "after" } })).body).toEqual({ msg: "Hello after" });

      let requests = 0;
      for (const connection of wire.connections) {
        const replies = messages(connection.answered());
        for (const { start } of replies) expect(start).toBe("HTTP/1.1 200 OK");
        const sent = connection.sent().match(/POST \/ HTTP\/1\.1\r\n/g)?.length ?? 0;
        expect(replies).toHaveLength(sent);
        requests += sent;
      }
      expect(requests).toBe(24);
    });

    test(
      `${version}: a reply under way is sent whole although the service stops and its caller reads late`,
      async () => {
        // More than the system keeps for a socket: what is not read waits in this process.
        const size = 48 << 20;
        await using other = await greeter({ transport: httpTransport({ maxBody: 64 << 20 }), drain: "60s" });
        await using reader = await goPeer({ version });
        const big = { service, address: [other.address], contentType: "application/protobuf", ...patient };
        const reply = reader.call({ ...big, endpoint: "Greeter.Big", body: { want: -size } });
        await eventually(() => other.count("Greeter.Big") === 1, "the handler runs", 60_000);
        reader.pause();
        let stopped = false;
        try {
          other.open();
          await eventually(() => other.service.server.stats.inFlight === 0, "the handler is done", 60_000);
          void other.service.stop().then(() => (stopped = true));
          await eventually(async () => (await other.registry.getService(service)).length === 0, "it stops", 60_000);
          for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
          expect(stopped).toBe(false);
        } finally {
          reader.resume();
        }
        const { body, error } = await reply;
        expect(error).toBeUndefined();
        expect((body as { data: string }).data).toHaveLength(Math.ceil(size / 3) * 4);
        await eventually(() => stopped, "it has stopped", 60_000);
      },
      LIMIT_MS,
    );

    test(`${version}: an idle connection is kept for twice as long as Go may use it again, and not for ever`, async () => {
      const clock = virtualClock(1_000_000);
      const other = await greeter({ clock, registerInterval: 0, registerTtl: "24h" });
      try {
        await using wire = await tap(other.address);
        // Go would not use it again after a minute of its own, which does not pass here.
        const hello = { service, endpoint: "Greeter.Hello", body: { name: "x" }, address: [wire.address] };
        for (const idle of [0, 61_000, 119_000]) {
          await clock.advance(idle);
          expect(await go.callOk(hello)).toEqual({ msg: "Hello x" });
        }
        expect(wire.connections).toHaveLength(1);
        await clock.advance(121_000);
        await eventually(() => wire.connections[0]?.link.down.finished === true, "it is closed", 60_000);
        // What Go does with a connection that was closed under its hands: why the limit is that long.
        const { error } = await go.call({ ...hello, retries: 0 });
        expect(error).toMatchObject({ code: 500, id: "go.micro.client.transport" });
        expect(error?.detail).toMatch(/unexpected EOF|reset by peer|broken pipe/);
        expect(await go.callOk(hello)).toEqual({ msg: "Hello x" });
      } finally {
        const stopping = other[Symbol.asyncDispose]();
        await clock.advance(60_000);
        await within(stopping, "it stops", 60_000);
      }
    });

    test(`${version}: an expired deadline is answered with code 408`, async () => {
      const rewrite = (text: string): string => text.replace("Timeout: 5000000000", "Timeout: 1         ");
      await using wire = await tap(ours.address, { rewrite });
      const call = { service, address: [wire.address], retries: 0 };
      const slow = { ...call, endpoint: "Greeter.Slow", body: { ms: 600_000 } };
      const { error } = await go.call(slow);
      expect(error).toMatchObject({ code: 408, id: service, status: "Request Timeout" });
    });

    test(`${version}: a FIN in mid-call is CONNECTION_LOST, and is not tried elsewhere; declared harmless, it is`, async () => {
      await using wire = await tap(go.address);
      const through = record(service, wire.address, { id: `${service}-through` });
      await using client = clientOf([through, go.service]);
      const typed = client.service(service, Greeter);
      const before = (await go.counts())["Greeter.Slow"] ?? 0;
      const slow = { ms: 600_000n, tag: "fin" };
      const metadata = { "X-Mark": "to be cut" };
      const call = typed.slow(slow, { filters: [only("through")], timeout: "10m", metadata }).then(
        () => "answered",
        (error: unknown) => error,
      );
      await go.event("invoked", ({ call }) => JSON.stringify(call).includes("to be cut"));
      wire.proxy.cutAll("fin");
      expect(await within(call, "it settles", 60_000)).toMatchObject({ code: "CONNECTION_LOST", refused: false });
      expect((await go.counts())["Greeter.Slow"]).toBe(before + 1);

      wire.proxy.onLink = (link) => link.cut("fin");
      const outcomes: string[] = [];
      for (let n = 0; n < 10; n++) outcomes.push((await typed.hello({ name: `${n}` }, { idempotent: true })).msg);
      expect(outcomes).toEqual(Array.from({ length: 10 }, (_, n) => `Hello ${n}`));
    });

    test(`${version}: a refused dial is tried on another node, also for calls that may run only once`, async () => {
      const nobody = record(service, "127.0.0.1:1", { id: `${service}-nobody` });
      for (let n = 0; n < 10; n++) {
        await using client = clientOf([nobody, go.service]);
        expect((await client.service(service, Greeter).hello({ name: `${n}` })).msg).toBe(`Hello ${n}`);
      }
      await using alone = clientOf([nobody], { retries: 0 });
      await expect(alone.service(service, Greeter).hello({ name: "x" })).rejects.toMatchObject({
        ...{ code: "UNAVAILABLE", refused: true },
      });
    });
  });
});

/** Only nodes whose id ends so. */
function only(end: string): Filter {
  return (services) =>
    services
      .map((each) => ({ ...each, nodes: each.nodes.filter(({ id }) => id.endsWith(end)) }))
      .filter(({ nodes }) => nodes.length > 0);
}
