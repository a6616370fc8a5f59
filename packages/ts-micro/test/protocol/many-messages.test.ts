import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterEach, expect, it } from "vitest";
import { createService, endpoint } from "../../src/index.ts";
import { frame } from "../../src/wire/grpc/frame.ts";
import { alone } from "./http/world.ts";

const arrays = Array.prototype;
const { shift } = arrays;
afterEach(() => void (arrays.shift = shift));

it.each([
  ["lines", "application/x-ndjson", "/greeter/S.Take", Buffer.from("1\n")],
  ["lines with empty ones between them", "application/x-ndjson", "/greeter/S.Take", Buffer.from("1\n\n\r\n\n\n")],
  ["frames", "application/connect+json", "/S/Take", frame("1")],
])("a body of many short messages is read in linear time, and each is one (%s)", async (_, type, path, message) => {
  let got = 0;
  await using service = createService(alone()).handle("S", {
    take: endpoint({ stream: "client" }, async (messages) => {
      for await (const each of messages) if (each === 1) got++;
      return { got };
    }),
  });
  await service.start();
  // What is behind the one that is taken out is moved.
  let moved = 0;
  arrays.shift = function (this: unknown[]) {
    moved += this.length;
    return shift.call(this) as unknown;
  };
  const count = 100_000;
  const sent = httpRequest(`http://${service.server.address}${path}`, {
    method: "POST",
    agent: false,
    headers: { "content-type": type },
  });
  sent.end(Buffer.concat(Array.from({ length: count }, () => message)));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  await once(response.resume(), "end");
  expect(got).toBe(count);
  expect(moved).toBeLessThan(10 * count);
});
