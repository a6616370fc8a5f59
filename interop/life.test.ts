/** Services that stop, on either side, while calls are under way (wire spec §15, rows 75, 76, 78). */
import { describe, expect, test } from "vitest";
import { eventually, within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, goVersions } from "./peer.ts";
import { Greeter } from "./proto/gen/greeter_pb.ts";
import { clientOf, goRecords, greeter, LIMIT_MS, type OurGreeter, tap } from "./world.ts";
import { memoryRegistry } from "../packages/ts-micro/src/registry/memory.ts";

const service = "greeter";
const patient = { connectionTimeoutMs: 120_000, requestTimeoutMs: 120_000 };

/** Resolves when the node of `ours` has left its registry. */
async function deregistered(ours: OurGreeter): Promise<void> {
  const watcher = ours.registry.watch({ service });
  await watcher.ready;
  for await (const { action } of watcher) if (action === "delete") break;
  await watcher.close();
}

describeGo("services that stop", () => {
  describe.each(goVersions)("with Go %s", (version) => {
    test(
      `row 75 ${version}: a service of ours that stops answers what runs, and closes idle connections only when it is out of the registry`,
      async () => {
        await using ours = await greeter();
        await using wire = await tap(ours.address);
        await using go = await goPeer({ version });
        const address = [wire.address];
        // One connection is idle in Go's pool, three are in use.
        const idle = { service, endpoint: "Greeter.Hello", body: { name: "x" }, address };
        await go.callOk(idle);
        const held = { service, endpoint: "Greeter.Slow", body: { tag: "hold" }, address, ...patient };
        const running = Promise.all([1, 2, 3].map(() => go.call(held)));
        await eventually(() => ours.count("Greeter.Slow") === 3, "three calls run", 60_000);
        const more = await go.callMany({ ...idle, n: 8, concurrency: 8, ...patient });
        expect(more).toMatchObject({ ok: 8, failed: 0 });
        // Go keeps a connection in its pool that it has been sent a FIN on: what counts is that we have closed it.
        const open = (): number => wire.connections.filter(({ link }) => !link.down.finished).length;
        const before = open();
        const gone = deregistered(ours);
        const stopped = ours.service.stop();
        await within(gone, "it leaves the registry", 60_000);
        expect(open()).toBe(before);
        expect(before).toBeGreaterThan(3);
        // Those that carry no call are let go of at once, the others with their answers.
        await eventually(() => open() === 3, "idle connections are closed", 60_000);
        ours.open();
        for (const { body, error } of await running) expect([error, body]).toEqual([undefined, expect.anything()]);
        await within(stopped, "it stops", 60_000);
        await eventually(() => open() === 0, "nothing is left open", 60_000);
      },
      LIMIT_MS,
    );

    test(
      `row 75 ${version}: while one of two services of ours stops, none of many Go calls fails`,
      async () => {
        const registry = memoryRegistry();
        await using staying = await greeter({ registry });
        // Go must hear of it while everybody is still answered.
        const leaving = await greeter({ registry, settle: "3s" });
        await using go = await goPeer({ version });
        const tell = async (): Promise<void> => go.nodes(service, await goRecords(registry, service));
        await tell();
        const calls = { n: 3000, concurrency: 8, body: { name: "n{i}" }, expect: { msg: "Hello n{i}" }, ...patient };
        const many = go.callMany({ service, endpoint: "Greeter.Hello", ...calls });
        await eventually(() => leaving.count("Greeter.Hello") > 50, "both are called", 60_000);
        const gone = deregistered(leaving).then(tell);
        await leaving.service.stop();
        await gone;
        expect(await many).toMatchObject({ ok: 3000, failed: 0, mismatched: 0, errors: {} });
        expect(staying.count("Greeter.Hello")).toBeGreaterThan(0);
        expect(staying.count("Greeter.Hello") + leaving.count("Greeter.Hello")).toBe(3000);
      },
      LIMIT_MS,
    );

    test(
      `row 76 ${version}: a Go server that is told to end in mid-call is CONNECTION_LOST at once, and the next calls go to another node`,
      async () => {
        await using staying = await goPeer({ version, serve: true, name: service });
        await using leaving = await goPeer({ version, serve: true, name: service });
        await using client = clientOf([staying.service, leaving.service]);
        const typed = client.service(service, Greeter);
        const slow = typed.slow({ ms: 600_000n, tag: "lost" }, { timeout: "10m", address: leaving.address });
        const outcome = slow.then(
          () => "answered",
          (error: unknown) => error,
        );
        await leaving.event("invoked", ({ call }) => JSON.stringify(call).includes("Greeter.Slow"));
        expect(await leaving.terminate()).toMatchObject({ code: 0 });
        // Its handler has run: it is not called again on its own account.
        expect(await within(outcome, "the call settles", 60_000)).toMatchObject({
          ...{ code: "CONNECTION_LOST", refused: false, attempts: 1 },
        });
        expect(await staying.counts()).not.toHaveProperty("Greeter.Slow");
        // The dead node is in the registry still: its refusal is safe to turn away from.
        for (let n = 0; n < 20; n++) expect((await typed.hello({ name: `${n}` })).msg).toBe(`Hello ${n}`);
        expect(await staying.counts()).toMatchObject({ "Greeter.Hello": 20 });
      },
      LIMIT_MS,
    );

    test(
      `row 76 ${version}: a Go server that is killed takes its stream with it, as CONNECTION_LOST`,
      async () => {
        await using doomed = await goPeer({ version, serve: true, name: service });
        await using client = clientOf([doomed.service]);
        const chat = client.service(service, Greeter).chat();
        await chat.send({ text: "a" });
        const replies = chat[Symbol.asyncIterator]();
        expect((await replies.next()).value).toMatchObject({ text: "re: a" });
        await doomed.kill();
        await expect(within(replies.next(), "the stream settles", 60_000)).rejects.toMatchObject({
          code: "CONNECTION_LOST",
        });
      },
      LIMIT_MS,
    );

    // The reference's fault: v4 takes a body that was cut short for an empty success.
    test(`row 78 ${version}: a reply of ours that is cut inside is an error in v5, and in v4 only for JSON`, async () => {
      await using ours = await greeter();
      await using go = await goPeer({ version });
      const cut = async (contentType: string): Promise<Awaited<ReturnType<typeof go.call>>> => {
        await using wire = await tap(ours.address);
        const reply = { service, endpoint: "Greeter.Hello", contentType, body: { name: "x".repeat(2000) } };
        const { onLink } = wire.proxy;
        wire.proxy.onLink = (link) => {
          onLink(link);
          // Inside the body: our head is shorter than this, the body is longer.
          link.truncateDown(1000, "fin");
        };
        return await go.call({ ...reply, address: [wire.address], retries: 0 });
      };
      const json = await cut("application/json");
      const protobuf = await cut("application/protobuf");
      if (version === "v4") {
        expect(json.error).toMatchObject({ code: 500, id: "go.micro.client.codec", detail: "EOF" });
        expect(protobuf).toMatchObject({ body: {} });
        expect(protobuf.error).toBeUndefined();
      } else {
        for (const { error } of [json, protobuf])
          expect(error).toMatchObject({ code: 500, id: "go.micro.client.transport", detail: "unexpected EOF" });
      }
    });
  });
});
