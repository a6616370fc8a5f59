import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AllKindsSchema, Greeter, type EchoResponse } from "../../../../interop/proto/gen/greeter_pb.ts";
import { webWorld, type WebWorld } from "./web-world.ts";

let world: WebWorld;
beforeAll(async () => {
  world = await webWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

type Make = (options: {
  useBinaryFormat: boolean;
  httpVersion: "1.1" | "2";
  baseUrl: string;
  zip: boolean;
}) => Transport;
const zipped = (zip: boolean): object => (zip ? { sendCompression: compressionGzip, compressMinBytes: 0 } : {});
const connect: Make = ({ zip, ...options }) => createConnectTransport({ ...options, ...zipped(zip) });
const grpcWeb: Make = ({ zip, ...options }) => createGrpcWebTransport({ ...options, ...zipped(zip) });

const ways = [
  { protocol: "connect", make: connect },
  { protocol: "gRPC-Web", make: grpcWeb },
].flatMap(({ protocol, make }) =>
  (["1.1", "2"] as const).flatMap((httpVersion) =>
    [true, false].map((useBinaryFormat) => ({
      name: `${protocol} ${useBinaryFormat ? "protobuf" : "JSON"} on HTTP/${httpVersion}`,
      make,
      httpVersion,
      useBinaryFormat,
    })),
  ),
);

async function all<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const message of messages) out.push(message);
  return out;
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => ConnectError.from(error),
  );
}

describe.each(ways)("connect-node, $name", ({ make, httpVersion, useBinaryFormat }) => {
  let client: Client<typeof Greeter>;
  let zipping: Client<typeof Greeter>;
  beforeAll(() => {
    const options = { useBinaryFormat, httpVersion, baseUrl: world.url };
    client = createClient(Greeter, make({ ...options, zip: false }));
    zipping = createClient(Greeter, make({ ...options, zip: true }));
  });

  it("calls", async () => {
    expect((await client.hello({ name: "Ada" })).msg).toBe("Hello Ada");
    expect(await client.nothing({})).toMatchObject({ $typeName: "greeter.Empty" });
  });
});
