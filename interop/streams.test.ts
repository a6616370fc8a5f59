/** Go clients stream with services of ours (wire spec §15, rows 19 to 24). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, within } from "../packages/ts-micro/src/testing/suite.ts";
import { Programs } from "../packages/ts-micro/test/registry/local/children.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { SteeredProcess } from "./steer.ts";
import { greeter, LIMIT_MS, type OurGreeter, tap } from "./world.ts";

const service = "greeter";
const text = (word: string): object => ({ text: word });

/** A service in a process of its own that streams without an end. */
const endless = `
import { createService } from "./src/index.ts";
import { memoryRegistry } from "./src/registry/memory.ts";
const service = createService({
  name: "greeter", address: "127.0.0.1:0", registry: memoryRegistry(), broker: "memory", logLevel: "fatal", env: false,
});
service.handle("Greeter", {
  async *stream() {
    for (let n = 0; ; n++) {
      yield { n };
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
});
await service.start();
console.log(JSON.stringify({ event: "ready", address: service.server.address }));
process.stdin.resume().on("end", () => process.exit());
`;

describeGo("Go clients stream with services of ours", () => {
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

    test.each(["application/json", "application/protobuf"])(
      `row 19 ${version}: 1000 messages of a server stream arrive in order, and then io.EOF (%s)`,
      async (contentType) => {
        const stream = await go.stream({ service, endpoint: "Greeter.Stream", contentType, body: { count: 1000 } });
        const { messages, end } = await stream.recvAll();
        expect(end).toBe(true);
        expect(messages.map(({ body }) => Number((body as { n?: string }).n ?? 0))).toEqual([...Array(1000).keys()]);
        await stream.close();
      },
      LIMIT_MS,
    );

    test(`row 19 ${version}: generated code reads a server stream to its end`, async () => {
      const stream = await go.stream({ service, endpoint: "Greeter.Stream", generated: true, body: { count: 50 } });
      const { messages, end } = await stream.recvAll();
      expect([messages.length, end]).toEqual([50, true]);
      await stream.close();
    });

    test(`row 20 ${version}: 100 messages go to and fro in order, and Go's Close is the end for our handler`, async () => {
      const before = ours.ended.length;
      const stream = await go.stream({ service, endpoint: "Greeter.Chat", generated: true });
      for (let n = 0; n < 100; n++) {
        await stream.send({ text: `m${n}`, n });
        expect((await stream.recv()).messages).toMatchObject([{ body: { text: `re: m${n}` } }]);
      }
      expect(await stream.close()).toBeNull();
      const [ended] = await eventually(() => ours.ended.length > before && ours.ended.slice(before), "it ends", 60_000);
      expect(ended).toMatchObject({ endpoint: "Greeter.Chat", received: 100 });
      await eventually(() => ours.service.server.stats.inFlight === 0, "nothing is left under way", 60_000);
    });

    test(`row 20 ${version}: messages sent without a pause are all answered, in order`, async () => {
      const stream = await go.stream({ service, endpoint: "Greeter.Chat" });
      const words = Array.from({ length: 100 }, (_, n) => `w${n}`);
      await stream.sendAll([...words, "quit"].map((word) => ({ text: word })));
      const { messages, end } = await stream.recvAll();
      expect(messages.map(({ body }) => body)).toEqual(words.map((word) => text(`re: ${word}`)));
      expect(end).toBe(true);
      await stream.close();
    });

    test(`row 21 ${version}: a client stream whose caller closes without reading gives the handler its messages and an end`, async () => {
      await using wire = await tap(ours.address);
      const before = ours.ended.length;
      const stream = await go.stream({ service, endpoint: "Greeter.Collect", address: [wire.address] });
      await stream.send({ text: "a" });
      await stream.send({ text: "b" });
      await stream.close();
      const [ended] = await eventually(() => ours.ended.length > before && ours.ended.slice(before), "it ends", 60_000);
      // After the messages Go sends EOS and then FIN: which of them the handler hears of first is a race, its messages are not.
      expect(ended).toMatchObject({ endpoint: "Greeter.Collect", received: 2 });
      expect(wire.sent()).toContain("Micro-Error: EOS");
      await within(
        wire.proxy.until(() => wire.connections[0]?.link.closed === true),
        "both sides have closed",
        60_000,
      );
      expect(await go.callOk({ service, endpoint: "Greeter.Hello", body: { name: "after" } })).toEqual({
        msg: "Hello after",
      });
    });

    test(`row 21 ${version}: a client stream that is read has its one answer`, async () => {
      const stream = await go.stream({ service, endpoint: "Greeter.Collect", generated: true });
      await stream.sendAll([{ text: "a" }, { text: "b" }, { text: "end" }]);
      const { messages, end } = await stream.recvAll();
      expect(messages).toMatchObject([{ body: { count: "3", last: "end" } }]);
      expect(end).toBe(true);
      await stream.close();
    });

    test(`row 22 ${version}: a handler that throws in mid-stream ends it with that error, which stays`, async () => {
      const body = { count: 3, fail_with: "notfound" };
      const stream = await go.stream({ service, endpoint: "Greeter.Stream", body });
      const { messages, error, end } = await stream.recvAll();
      expect([messages.length, end]).toEqual([3, false]);
      expect(error).toMatchObject({ code: 404, id: service, detail: "stream failed" });
      expect(await stream.error()).toMatchObject({ code: 404, detail: "stream failed" });
      await stream.close();
      const chat = await go.stream({ service, endpoint: "Greeter.Chat" });
      await chat.send({ text: "fail:conflict" });
      expect((await chat.recv()).error).toMatchObject({ code: 409, detail: "chat failed" });
      await chat.close();
    });

    test(
      `row 23 ${version}: a process of ours that is killed in mid-stream is a transport error in Go, and no end`,
      async () => {
        const programs = new Programs();
        const child = new SteeredProcess(process.execPath, [programs.inline("endless", endless)], { ...process.env });
        try {
          const { address } = await child.take("ready", ({ event }) => event === "ready", 60_000);
          const stream = await go.stream({
            ...{ service, endpoint: "Greeter.Stream", address: [address as string], as: "plain", body: {} },
          });
          expect((await stream.recv(3)).messages.map(({ body }) => body)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
          await child.kill("SIGKILL");
          const { end, error } = await stream.recvAll();
          expect(end).toBe(false);
          expect(error).toMatchObject({ code: 500, id: "go.micro.client.transport", eof: false });
          expect(error?.detail).toMatch(/unexpected EOF|connection reset by peer/);
          await stream.close();
        } finally {
          await child.kill("SIGKILL");
          programs.remove();
        }
      },
      LIMIT_MS,
    );

    test(`row 24 ${version}: what opens a stream is not given to the handler`, async () => {
      // The same message opens the stream and is then sent: the handler has it once.
      const stream = await go.stream({ service, endpoint: "Greeter.Chat", as: "plain", body: { text: "once" } });
      await stream.send({ text: "quit" });
      const { messages, end } = await stream.recvAll();
      expect(messages.map(({ body }) => (body as { text: string }).text)).toEqual(["re: once"]);
      expect(end).toBe(true);
      await stream.close();
      const server = await go.stream({ service, endpoint: "Greeter.Stream", as: "plain", body: { count: 2 } });
      expect((await server.recvAll()).messages).toHaveLength(2);
      await server.close();
    });
  });
});
