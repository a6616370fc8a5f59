/** The debug handler on both sides (wire spec §14, §15 row 69). */
import { describe, expect, test } from "vitest";
import { describeGo, goPeer, goVersions } from "./peer.ts";
import { clientOf, greeter } from "./world.ts";

const service = "greeter";

describeGo("debug", () => {
  describe.each(goVersions)("with Go %s", (version) => {
    test(`row 69 ${version}: Go reads our health and figures`, async () => {
      await using ours = await greeter();
      await using go = await goPeer({ version });
      await go.nodes(service, ours.records);
      expect(await go.callOk({ service, endpoint: "Debug.Health", body: {} })).toEqual({ status: "ok" });
      await go.callOk({ service, endpoint: "Greeter.Hello", body: { name: "x" } });
      await go.call({ service, endpoint: "Greeter.Fail", body: { kind: "conflict" } });
      const stats = (await go.callOk({ service, endpoint: "Debug.Stats", body: { service } })) as Record<
        string,
        string
      >;
      const figures = Object.fromEntries(Object.entries(stats).map(([key, value]) => [key, Number(value)]));
      expect(figures["memory"]).toBeGreaterThan(1e6);
      expect(figures["timestamp"]).toBeGreaterThanOrEqual(figures["started"] ?? Infinity);
      // This request is the fourth.
      expect(figures).toMatchObject({ requests: 4, errors: 1 });
    });

    test(`row 69 ${version}: we read the health, figures and traces of a Go server, and its streams`, async () => {
      await using go = await goPeer({ version, serve: true, name: service });
      await using client = clientOf([go.service]);
      expect(await client.call(service, "Debug.Health")).toEqual({ status: "ok" });
      expect(await client.call(service, "Debug.Stats", { service })).toBeTypeOf("object");
      expect(await client.call(service, "Debug.Trace", { id: "none" })).toBeTypeOf("object");
      await using bus = client.stream<{ msg: string }>(service, "Debug.MessageBus");
      const replies = bus[Symbol.asyncIterator]();
      await bus.send({ msg: "hello" });
      expect((await replies.next()).value).toEqual({ msg: "Request received!" });
    });
  });
});
