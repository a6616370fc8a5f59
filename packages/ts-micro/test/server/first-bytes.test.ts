import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createClient, createService, type Service } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { preface } from "../../src/wire/fast/frame.ts";
import { hello } from "../protocol/fast/world.ts";
import { raw } from "../transport/raw.ts";

let service: Service;
let registry: ReturnType<typeof memoryRegistry>;
beforeEach(async () => {
  registry = memoryRegistry();
  service = createService({
    name: "port",
    registry,
    env: false,
    address: "127.0.0.1:0",
    logLevel: "fatal",
    settle: 0,
    drain: 0,
  });
  service.handle("Port", { echo: (request: { text: string }) => request });
  await service.start();
});
afterEach(() => service.stop());

const starts = [
  "",
  "\0",
  "\0MICRO/",
  "\0MICRO/1\n",
  "\0MICRO/999\n",
  "\0MICRO/0\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: x\r\nMicro-Endpoint: Port.Echo\r\n",
  "GET / HTTP/1.1\r\n\r\n",
  "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
  "\x16\x03\x01\x02\0",
].map((text) => Buffer.from(text, "latin1"));

it(
  "whatever a connection begins with (3,000 inputs), the port answers or closes, and serves the next one",
  { timeout: 120_000 },
  async () => {
    const first = fc
      .tuple(fc.constantFrom(...starts, hello(), preface(1)), fc.nat(60), fc.uint8Array({ maxLength: 60 }))
      .map(([start, cut, more]) =>
        Buffer.concat([start.subarray(0, Math.max(1, start.length - (cut > 40 ? cut - 40 : 0))), more]),
      );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(first, fc.integer({ min: 1, max: 60 })), { minLength: 30, maxLength: 30 }),
        async (inputs) => {
          await Promise.all(
            inputs.map(async ([bytes, at]) => {
              const socket = await raw(service.server.address);
              // In two pieces, then the end: whoever took it has to let go of it.
              await socket.write(bytes.subarray(0, at)).catch(() => {});
              await socket.write(bytes.subarray(at)).catch(() => {});
              socket.socket.end();
              await socket.end();
              socket.socket.destroy();
            }),
          );
        },
      ),
      { numRuns: 100, endOnFailure: true },
    );
    for (const protocol of ["fast", "mucp"]) {
      const client = createClient({ registry, env: false, logLevel: "fatal", protocols: [protocol] });
      expect(await client.call("port", "Port.Echo", { text: protocol })).toEqual({ text: protocol });
      await client.close();
    }
    const answer = await fetch(`http://${service.server.address}/port/Port.Echo`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"text":"curl"}',
    });
    expect(await answer.json()).toEqual({ text: "curl" });
  },
);
