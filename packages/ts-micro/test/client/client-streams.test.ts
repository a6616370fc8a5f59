/** The one reply of a client stream, and what comes behind it. */
import { createServer as createHttp } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { createClient, errors } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { eventually } from "../../src/testing/suite.ts";
import { encodeError } from "../../src/wire/error.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { H } from "../../src/wire/headers.ts";

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

interface Totals {
  S: { total(items: AsyncIterable<{ n: number }>): Promise<{ n: number }> };
}

async function* items(): AsyncGenerator<{ n: number }> {
  yield await Promise.resolve({ n: 1 });
  yield { n: 2 };
}

/** Goes on when a caller in this process has had turns enough to leave. */
async function turns(): Promise<void> {
  for (let n = 0; n < 10; n++) await new Promise((resolve) => setImmediate(resolve));
}

/** A stub for what listens there. */
async function called(wire: string, server: Server): Promise<Totals["S"]> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push({ close: () => new Promise((resolve) => server.close(resolve)) });
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createClient({ registry: memoryRegistry(), env: false, logLevel: "fatal", protocols: [wire] });
  open.push(client);
  return client.service<Totals>("s", { address, stream: "client" }).S;
}

describe("over gRPC", () => {
  async function world(status: string) {
    const codes: number[] = [];
    let sessions = 0;
    const server = createHttp2()
      .on("session", () => sessions++)
      .on("stream", (stream) => {
        stream.on("close", () => codes.push(stream.rstCode));
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status, "grpc-message": "not kept" }));
        stream.resume().on("end", () => {
          stream.respond({ ":status": 200, "content-type": "application/grpc+json" }, { waitForTrailers: true });
          stream.write(frame(Buffer.from('{"n":3}')));
          void turns().then(() => stream.destroyed || stream.end());
        });
      });
    return { s: await called("grpc", server), codes, sessions: () => sessions };
  }

  it("a status that fails fails the call, though a reply came before it", async () => {
    const { s } = await world("9");
    await expect(s.total(items())).rejects.toMatchObject({ detail: "not kept", layer: "remote" });
  });

  it("calls reset nothing", async () => {
    const { s, codes, sessions } = await world("0");
    for (let n = 0; n < 30; n++) expect(await s.total(items())).toEqual({ n: 3 });
    await eventually(() => codes.length === 30, "the streams' ends");
    expect(codes.filter((code) => code !== 0)).toEqual([]);
    expect(sessions()).toBe(1);
  });
});

describe("over plain HTTP", () => {
  async function world(trailers: Record<string, string>) {
    let connections = 0;
    const server = createHttp((request, response) => {
      request.resume().on("end", () => {
        response.writeHead(200, { "content-type": "application/x-ndjson", trailer: H.error });
        response.write('{"n":3}\n');
        response.addTrailers(trailers);
        void turns().then(() => response.end());
      });
    }).on("connection", () => connections++);
    return { s: await called("http", server), connections: () => connections };
  }

  it("an error in the trailer fails the call, though a reply came before it", async () => {
    const { s } = await world({ [H.error]: encodeError(errors.conflict("s", "not kept")) });
    await expect(s.total(items())).rejects.toMatchObject({ code: "CONFLICT", detail: "not kept", layer: "remote" });
  });

  it("calls keep their connection", async () => {
    const { s, connections } = await world({});
    for (let n = 0; n < 5; n++) expect(await s.total(items())).toEqual({ n: 3 });
    expect(connections()).toBe(1);
  });
});
