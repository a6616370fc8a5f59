/** What Go clients see of our errors (wire spec §15, rows 9 to 12, 15, 17, 77). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, type GoPeer, goVersions } from "./peer.ts";
import { greeter, LIMIT_MS, long, messages, type OurGreeter, tap } from "./world.ts";

const service = "greeter";

describeGo("Go clients get our errors", () => {
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

    const fail = (
      body: { kind: string; detail: string; code?: number },
      more: object = {},
    ): ReturnType<GoPeer["call"]> => go.call({ service, endpoint: "Greeter.Fail", body, retries: 0, ...more });

    test(`row 9 ${version}: an error of ours has its code, id and detail in Go, in every codec`, async () => {
      for (const contentType of ["json", "protobuf", "json-rpc", "proto-rpc"].map((name) => `application/${name}`)) {
        const { error } = await fail({ kind: "notfound", detail: "no such user" }, { contentType });
        expect(error, contentType).toMatchObject({
          ...{ code: 404, id: "greeter", detail: "no such user", status: "Not Found" },
        });
      }
      const kinds = { badrequest: 400, unauthorized: 401, forbidden: 403, method: 405, timeout: 408, conflict: 409 };
      for (const [kind, code] of Object.entries(kinds))
        expect((await fail({ kind, detail: kind })).error).toMatchObject({ code, id: "greeter", detail: kind });
      const custom = await fail({ kind: "custom", detail: "tea", code: 418 });
      expect(custom.error).toMatchObject({ code: 418, id: "greeter.custom", detail: "tea" });
    });

    test(`row 10 ${version}: a plain Error is a 500; Go closes that connection and the next call has a new one`, async () => {
      await using wire = await tap(ours.address);
      const address = [wire.address];
      const { error } = await fail({ kind: "plain", detail: "it broke" }, { address });
      expect(error).toMatchObject({ code: 500, id: service, detail: "it broke", status: "Internal Server Error" });
      await within(
        wire.proxy.until(() => wire.connections[0]?.link.closed === true),
        "Go closes it",
        60_000,
      );
      const hello = { service, endpoint: "Greeter.Hello", body: { name: "x" }, address };
      expect(await go.callOk(hello)).toEqual({ msg: "Hello x" });
      expect(wire.connections).toHaveLength(2);
    });

    test(`row 11 ${version}: unknown methods and services, and ill-formed endpoints, have Go's own texts`, async () => {
      const error = async (endpoint: string): Promise<object | undefined> =>
        (await go.call({ service, endpoint, as: "plain", body: {} })).error;
      expect(await error("Greeter.Nope")).toMatchObject({
        code: 0,
        text: "rpc: can't find method Nope",
        detail: "rpc: can't find method Nope",
      });
      expect(await error("Nope.Hello")).toMatchObject({ code: 0, detail: "rpc: can't find service Nope" });
      for (const endpoint of ["Foo", "A.B.C"]) {
        const detail = `rpc: service/endpoint request ill-formed: ${endpoint}`;
        expect(await error(endpoint)).toMatchObject({ code: 0, detail });
      }
    });

    test(`row 12 ${version}: unknown content type is answered as text, which fails cleanly in Go`, async () => {
      // No Go client sends what it has no codec for: the header is changed on the way.
      const rewrite = (text: string): string =>
        text.replace("Content-Type: application/json", "Content-Type: application/jsox");
      await using wire = await tap(ours.address, { rewrite });
      const hello = { service, endpoint: "Greeter.Hello", body: { name: "x" }, address: [wire.address] };
      const { error } = await go.call(hello);
      expect(error).toMatchObject({ code: 500, id: "go.micro.client.codec" });
      expect(error?.detail).toContain("invalid character 'u' looking for beginning of value");
      const [reply, ...more] = messages(wire.answered());
      expect(more).toEqual([]);
      expect(reply).toMatchObject({
        start: "HTTP/1.1 200 OK",
        headers: { "content-type": "text/plain" },
        body: "unsupported Content-Type: application/jsox",
      });
      expect(reply?.headers).not.toHaveProperty("micro-error");
    });

    test(
      `row 15 ${version}: a slow handler is called again by Go, and each attempt ends when Go closes its connection`,
      async () => {
        // Without the header only the closed connection tells that the caller has given up.
        const rewrite = (text: string): string => text.replace("Timeout: ", "Timeouz: ");
        await using wire = await tap(ours.address, { rewrite });
        const before = [ours.count("Greeter.Slow"), ours.cancelled.length] as const;
        const limits = { connectionTimeoutMs: 1000, requestTimeoutMs: 120_000, retries: 2 };
        const slow = { service, endpoint: "Greeter.Slow", body: { ms: 600_000 }, address: [wire.address] };
        const { error } = await go.call({ ...slow, ...limits });
        expect(error).toMatchObject({ code: 408, id: "go.micro.client" });
        await eventually(() => ours.cancelled.length - before[1] === 3, "each attempt is cancelled", 60_000);
        expect(ours.count("Greeter.Slow") - before[0]).toBe(3);
        expect(ours.cancelled.slice(before[1])).toEqual(
          Array.from({ length: 3 }, () => expect.objectContaining({ code: "CONNECTION_LOST" })),
        );
        expect(wire.connections).toHaveLength(3);
      },
      LIMIT_MS,
    );

    if (long)
      test(
        `row 15 ${version}: with Go's defaults a handler of 40 s is called five times`,
        async () => {
          const before = ours.count("Greeter.Slow");
          const slow = { service, endpoint: "Greeter.Slow", body: { ms: 40_000 } };
          const { error } = await go.call(slow);
          expect(error).toMatchObject({ code: 408, detail: "call timeout: context deadline exceeded" });
          expect(ours.count("Greeter.Slow") - before).toBe(5);
        },
        LIMIT_MS,
      );

    test(`row 17 ${version}: quotes, newlines, angle brackets and characters beyond ASCII arrive in errors as they are`, async () => {
      for (const detail of [
        'say "no"',
        "two\nlines",
        "<b>&amp;</b>",
        "für Ängste",
        "\u{1F600} \u2028 \\u0041",
        "100%d",
      ]) {
        expect((await fail({ kind: "conflict", detail })).error).toMatchObject({ code: 409, detail });
        expect((await fail({ kind: "plain", detail })).error).toMatchObject({ code: 500, detail });
      }
    });

    test(`row 77 ${version}: an expired deadline is answered with 408 and nothing else, which Go calls again`, async () => {
      // Shortened on the way: at the full time Go's own clock races the reply.
      const rewrite = (text: string): string => text.replace("Timeout: 5000000000", "Timeout: 100000000 ");
      await using wire = await tap(ours.address, { rewrite });
      const before = ours.cancelled.length;
      const slow = { service, endpoint: "Greeter.Slow", body: { ms: 600_000 }, address: [wire.address] };
      const once = await go.call({ ...slow, retries: 0 });
      expect(once.error).toMatchObject({ code: 408, id: service, status: "Request Timeout" });
      const [reply, ...more] = messages(wire.answered());
      expect(more).toEqual([]);
      expect(reply).toMatchObject({ start: "HTTP/1.1 200 OK", body: "" });
      expect(JSON.parse(reply?.headers["micro-error"] ?? "")).toMatchObject({ code: 408 });
      const again = await go.call({ ...slow, retries: 1 });
      expect(again.error).toMatchObject({ code: 408, id: service });
      expect(ours.cancelled.slice(before)).toEqual(
        Array.from({ length: 3 }, () => expect.objectContaining({ code: "TIMEOUT" })),
      );
    });
  });
});
