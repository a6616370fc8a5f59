/** TLS between ours and Go (wire spec §2.4, §15 row 70). */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { describe, expect, test } from "vitest";
import { within } from "../packages/ts-micro/src/testing/suite.ts";
import { describeGo, goPeer, goVersions, record } from "./peer.ts";
import { Greeter } from "./proto/gen/greeter_pb.ts";
import { clientOf, greeter } from "./world.ts";

const fixture = (name: string): string =>
  readFileSync(new URL(`../packages/ts-micro/test/fixtures/tls/${name}`, import.meta.url), "utf8");
const [cert, key, ca] = [fixture("server.pem"), fixture("server-key.pem"), fixture("ca.pem")];
const service = "greeter";
const hello = { service, endpoint: "Greeter.Hello", body: { name: "John" } };

describeGo("TLS", () => {
  describe.each(goVersions)("with Go %s", (version) => {
    test(`row 70 ${version}: a Go client calls our TLS service when it trusts the authority, or anybody; else not`, async () => {
      await using ours = await greeter({ tls: { cert, key } });
      expect(ours.records[0]?.nodes[0]?.metadata).toMatchObject({ secure: "true" });
      await using trusting = await goPeer({ version, clientSecure: true, caPem: ca });
      await using careless = await goPeer({ version, clientSecure: true, insecureSkipVerify: true });
      for (const go of [trusting, careless]) {
        await go.nodes(service, ours.records);
        for (const _ of [1, 2]) expect(await go.callOk(hello)).toEqual({ msg: "Hello John" });
        const stream = await go.stream({ service, endpoint: "Greeter.Stream", body: { count: 20 } });
        expect(await stream.recvAll()).toMatchObject({ end: true, messages: { length: 20 } });
        await stream.close();
      }
      // The default of both versions.
      await using strict = await goPeer({ version, clientSecure: true });
      await strict.nodes(service, ours.records);
      const { error } = await strict.call(hello);
      expect(error).toMatchObject({ code: 500, id: "go.micro.client" });
      expect(error?.detail).toContain("tls: failed to verify certificate");
      // Go knows no mark for it: a client that was not told speaks plain HTTP, and is turned away.
      await using plain = await goPeer({ version, connectionTimeoutMs: 60_000 });
      await plain.nodes(service, ours.records);
      expect((await plain.call({ ...hello, retries: 0 })).error).toMatchObject({ code: 500 });
      expect((await trusting.call(hello)).body).toEqual({ msg: "Hello John" });
    });

    test(`row 70 ${version}: Go asks for http/1.1 by ALPN, which is what a service of ours offers`, async () => {
      const server = createServer({ cert, key, ALPNProtocols: ["h2", "http/1.1"] });
      const asked = new Promise<string | false | null>((resolve) =>
        server.on("secureConnection", (socket: TLSSocket) => {
          socket.on("error", () => {}).end();
          resolve(socket.alpnProtocol);
        }),
      );
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        await using go = await goPeer({ version, clientSecure: true, caPem: ca });
        await go.nodes(service, [record(service, `127.0.0.1:${(server.address() as AddressInfo).port}`)]);
        await go.call({ ...hello, retries: 0 });
        expect(await within(asked, "the handshake", 60_000)).toBe("http/1.1");
      } finally {
        server.close();
      }
    });

    test(`row 70 ${version}: we call a Go TLS server when we trust its authority, or are told to trust anybody; else not`, async () => {
      await using known = await goPeer({
        version,
        serve: true,
        name: service,
        secure: true,
        certPem: cert,
        keyPem: key,
      });
      await using trusting = clientOf([known.service], { tls: { ca } });
      for (const name of ["a", "b"])
        expect((await trusting.service(service, Greeter).hello({ name })).msg).toBe(`Hello ${name}`);
      // Go's own certificate, made at its start and signed by nobody.
      await using selfSigned = await goPeer({ version, serve: true, name: service, secure: true });
      await using careless = clientOf([selfSigned.service], { tls: { rejectUnauthorized: false } });
      expect((await careless.service(service, Greeter).hello({ name: "c" })).msg).toBe("Hello c");
      await using strict = clientOf([selfSigned.service], { tls: {}, retries: 0 });
      await expect(strict.service(service, Greeter).hello({ name: "d" })).rejects.toMatchObject({
        detail: expect.stringMatching(/certificate/),
        layer: "dial",
      });
      // Nor does a Go record say that a node is TLS.
      await using plain = clientOf([selfSigned.service], { retries: 0 });
      await expect(plain.service(service, Greeter).hello({ name: "e" })).rejects.toMatchObject({
        code: expect.stringMatching(/PROTOCOL|CONNECTION_LOST/),
      });
    });
  });
});
