/** Clients of ours stream with Go servers (wire spec §15, rows 32, 33, 35). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isMicroError, type Client, type Methods, type ProtoEndpoints } from "../packages/ts-micro/src/index.ts";
import { within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { Greeter } from "./proto/gen/greeter_pb.ts";
import { clientOf, LIMIT_MS, messages, tap } from "./world.ts";

const service = "greeter";
/** Between two messages: what a Go server needs not to damage its own stream (wire spec §3.4). */
const delayMs = 60n;

describeGo("clients of ours stream with Go servers", () => {
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

    test.each(["application/json", "application/protobuf"])(
      `row 32 ${version}: a server stream is opened with an empty message, sent its request, and read to its end (%s)`,
      async (contentType) => {
        await using wire = await tap(go.address);
        await using ours = clientOf([go.service], { through: wire.address });
        const stream = ours.service(service, Greeter, { contentType }).stream({ count: 5n, delayMs });
        const got: bigint[] = [];
        for await (const { n } of stream) got.push(n);
        expect(got).toEqual([0n, 1n, 2n, 3n, 4n]);
        await within(
          wire.proxy.until(() => wire.connections[0]?.link.closed === true),
          "the connection is closed",
          60_000,
        );
        expect(wire.connections).toHaveLength(1);
        const [open, request, ...rest] = messages(wire.sent());
        const id = open?.headers["micro-stream"];
        expect([open?.body.trim(), request?.headers["micro-stream"]]).toEqual([
          contentType === "application/json" ? "{}" : "",
          id,
        ]);
        expect(request?.body).not.toBe(open?.body);
        // All that may follow is the end.
        for (const { headers, body } of rest) expect([headers["micro-error"], body]).toEqual(["EOS", ""]);
        const replies = messages(wire.answered());
        expect(replies.map(({ headers }) => headers["micro-error"])).toEqual([...Array(5).fill(undefined), "EOS"]);
      },
      LIMIT_MS,
    );

    test(`row 32 ${version}: a server stream that fails gives its messages and then the error`, async () => {
      const got: bigint[] = [];
      const reading = (async () => {
        for await (const { n } of greeter.stream({ count: 2n, delayMs, failWith: "notfound" })) got.push(n);
      })();
      await expect(within(reading, "the stream ends", 60_000)).rejects.toMatchObject({
        ...{ code: "NOT_FOUND", detail: "stream failed", id: service },
      });
      expect(got).toEqual([0n, 1n]);
    });

    test(`row 32 ${version}: without types the registry's record tells that an endpoint streams`, async () => {
      const typed = client.service<{ Greeter: { stream(request: object): AsyncIterable<{ n?: unknown }> } }>(service);
      const got: unknown[] = [];
      for await (const { n } of typed.Greeter.stream({ count: 3, delay_ms: Number(delayMs) })) got.push(Number(n ?? 0));
      expect(got).toEqual([0, 1, 2]);
    });

    test(`row 33 ${version}: a bidi stream talks, and our end is io.EOF in Go, after which nothing is awaited`, async () => {
      const chat = greeter.chat();
      const replies = chat[Symbol.asyncIterator]();
      for (let n = 0; n < 20; n++) {
        await chat.send({ text: `m${n}` });
        expect((await replies.next()).value).toMatchObject({ text: `re: m${n}` });
      }
      chat.end();
      const ended = go.event("streamEnd", ({ endpoint }) => endpoint === "Greeter.Chat");
      expect(await within(replies.next(), "the stream ends", 60_000)).toMatchObject({ done: true });
      expect(await ended).toMatchObject({ eof: true });
    });

    test(`row 33 ${version}: a bidi stream that Go ends, or fails, ends so with us`, async () => {
      const talk = async (last: string): Promise<string[]> => {
        const out: string[] = [];
        const said = (async function* () {
          yield { text: "a" };
          yield { text: last };
        })();
        for await (const { text } of greeter.chat(said)) out.push(text);
        return out;
      };
      expect(await within(talk("quit"), "Go ends it", 60_000)).toEqual(["re: a"]);
      await expect(within(talk("fail:conflict"), "Go fails it", 60_000)).rejects.toMatchObject({
        ...{ code: "CONFLICT", detail: "chat failed" },
      });
    });

    test(`row 33 ${version}: a client stream has its one answer`, async () => {
      const said = (async function* () {
        for (const text of ["a", "b", "end"]) yield { text };
      })();
      expect(await within(greeter.collect(said), "the answer", 60_000)).toMatchObject({ count: 3n, last: "end" });
    });

    test(`row 33 ${version}: leaving a stream is its end in Go`, async () => {
      const before = go.events("streamEnd").length;
      const chat = greeter.chat();
      await chat.send({ text: "a" });
      for await (const { text } of chat) {
        expect(text).toBe("re: a");
        break;
      }
      await go.event("streamEnd", () => go.events("streamEnd").length > before);
    });

    // The reference's fault (wire spec §3.4): its server overwrites messages that have not left yet.
    test(
      `row 35 ${version}: a fast stream, which Go damages, ends or fails, and harms nothing else`,
      async () => {
        const outcome = async (contentType: string): Promise<"whole" | "damaged" | "failed"> => {
          const got: bigint[] = [];
          try {
            const { stream } = client.service(service, Greeter, { contentType });
            for await (const { n } of stream({ count: 200n })) got.push(n);
          } catch (error) {
            expect(isMicroError(error), String(error)).toBe(true);
            return "failed";
          }
          return got.length === 200 && got.every((n, i) => n === BigInt(i)) ? "whole" : "damaged";
        };
        const outcomes: string[] = [];
        for (let round = 0; round < 20; round++)
          for (const type of ["json", "protobuf"])
            outcomes.push(await within(outcome(`application/${type}`), "the stream ends", 60_000));
        expect(outcomes.filter((each) => each !== "whole").length).toBeGreaterThan(0);
        expect((await greeter.hello({ name: "after" })).msg).toBe("Hello after");
      },
      LIMIT_MS,
    );
  });
});
