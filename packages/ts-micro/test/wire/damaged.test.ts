import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectQuery, connectTimeout, connectType } from "../../src/wire/connect/request.ts";
import {
  decodeFailure,
  decodeSettings,
  defaults,
  encodeSettings,
  preface,
  readPreface,
} from "../../src/wire/fast/frame.ts";
import { decodeMetadata, decodeRoute } from "../../src/wire/fast/text.ts";
import { decodeFlat } from "../../src/wire/flat-json.ts";
import { Base64Reader } from "../../src/wire/grpc-web/body.ts";
import { grpcTimeout, grpcWebType } from "../../src/wire/grpc-web/request.ts";
import { FrameReader, frame as grpcFrame } from "../../src/wire/grpc/frame.ts";
import { decodeHealthRequest } from "../../src/wire/grpc/health.ts";
import { targetOf } from "../../src/wire/grpc/path.ts";
import { decodeReflectionRequest } from "../../src/wire/grpc/reflection.ts";
import { decodeStatus } from "../../src/wire/grpc/status.ts";
import { decodeTransportMessage, encodeTransportMessage } from "../../src/wire/grpc/transport-message.ts";
import { isHttp1 } from "../../src/wire/http1/preface.ts";
import { decodeJsonRpcRequest, decodeJsonRpcResponse } from "../../src/wire/jsonrpc.ts";
import { decodeProtoRpcRequest, decodeProtoRpcResponse } from "../../src/wire/protorpc.ts";
import { damager, generator, type Random } from "../support/damage.ts";
import { captureNames, connections } from "./captures.ts";
import { frame, read } from "./fast/frames.ts";
import { readRequests, readResponses } from "./http1/read.ts";
import { outcome } from "./outcome.ts";

/** All of them where CI asks for it, on its first Node. */
const inputs = process.env["TS_MICRO_FUZZ"] === undefined ? 10_000 : 100_000;
const captured = captureNames(/^v\d-(?!mdns)/).flatMap(connections);
const requests = captured.map(({ request }) => request.subarray(0, 2000)).filter(({ length }) => length > 0);
const responses = captured.map(({ response }) => response.subarray(0, 2000)).filter(({ length }) => length > 0);
const limits = { maxHeadBytes: 4096, maxBodyBytes: 4096, maxHeaders: 50, maxStartLineBytes: 100 };
const of = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));
const hex = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text.replaceAll(" ", ""), "hex"));

/** What each parser makes of bytes: a value, or a MicroError; `outcome` throws on anything else. */
const parsers: Record<string, { seeds: Buffer[]; parse: (bytes: Buffer, random: Random) => unknown }> = {
  "HTTP/1.1 (mucp, JSON)": {
    seeds: [...requests, ...responses],
    parse: (bytes, random) => (random(2) === 0 ? readRequests : readResponses)(bytes, 1 + random(400), limits),
  },
  "fast framing": {
    seeds: [
      frame(0, 0, 0, encodeSettings(defaults)),
      frame(1, 0, 1, "test\0Test.Echo\0application/json\0"),
      Buffer.concat([
        frame(2, 4, 1, "\x00\x01\x00\x00\x00\x09\x00\x00\x00\x00X-User\x007\x00{}"),
        frame(4, 1, 1, "x"),
        frame(9, 0, 1, ""),
      ]),
    ],
    parse: (bytes) => read(bytes, 64),
  },
  "fast framing's payloads": {
    seeds: [
      encodeSettings(defaults),
      ...of("test\0Test.Echo\0application/json\0", '["a",400,"BAD_REQUEST","x"]', "a\0b\0"),
    ],
    parse: (bytes) => {
      decodeRoute(String(bytes));
      decodeMetadata(String(bytes));
      decodeFailure(String(bytes), false);
      decodeSettings(bytes);
    },
  },
  "gRPC's frames and messages": {
    seeds: [
      Buffer.concat([grpcFrame("hello"), grpcFrame("", 1)]),
      encodeTransportMessage({ "Micro-Topic": "t" }, Buffer.from("b")),
      ...hex("0a07677265657465 72", "220867726565746572", "1a05 0a01 61 1001"),
    ],
    parse: (bytes, random) => {
      const reader = new FrameReader(1000, () => {});
      const cut = random(bytes.length + 1);
      outcome(() => (reader.push(bytes.subarray(0, cut)), reader.push(bytes.subarray(cut))));
      for (const decode of [decodeHealthRequest, decodeReflectionRequest, decodeTransportMessage])
        outcome(() => decode(bytes));
    },
  },
  "gRPC's status, paths and times": {
    seeds: of("CAESBm5vIHdheQ==", "/pkg.Greeter/Hello", "grpc %E4%B8%96", "5S", "13"),
    parse: (bytes) => {
      const text = String(bytes);
      decodeStatus({ "grpc-status": text, "grpc-message": text, "grpc-status-details-bin": text });
      targetOf(text);
      grpcTimeout(text);
    },
  },
  "Connect and gRPC-Web": {
    seeds: of(
      "connect=v1&encoding=json&base64=1&message=e30&compression=gzip",
      "application/grpc-web-text+proto",
      "AAAAAAM=AAAA",
    ),
    parse: (bytes) => {
      const text = String(bytes);
      for (const decode of [connectQuery, connectTimeout, connectType, grpcWebType]) outcome(() => decode(text));
      const reader = new Base64Reader();
      reader.push(bytes);
      reader.end();
    },
  },
  "json-rpc": {
    seeds: of('{"id":1,"method":"Greeter.Hello","params":[{"name":"Ada"}]}', '{"id":1,"result":{},"error":null}'),
    parse: (bytes) => (outcome(() => decodeJsonRpcResponse(bytes)), decodeJsonRpcRequest(bytes)),
  },
  "proto-rpc": {
    seeds: hex("0000000b 0a05 612e42 2e63 1001 0000 00000002 0801", "00000000 00000000"),
    parse: (bytes) => (outcome(() => decodeProtoRpcResponse(bytes)), decodeProtoRpcRequest(bytes)),
  },
  "flat JSON": {
    seeds: of('{"name":"Ada","n":3,"ok":true}', "{}", '{"a":"\\u0041"}'),
    parse: (bytes) => decodeFlat(bytes, 0, bytes.length),
  },
  "the first bytes of a connection": {
    seeds: [preface(1), ...of("POST / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ...hex("16030100")],
    parse: (bytes) => {
      const found = readPreface(bytes);
      if (found !== undefined && found !== false && found.end > bytes.length)
        throw new Error("it reads beyond the end");
      if (found !== undefined && found !== false && isHttp1(bytes) === true) throw new Error("two wires want it");
    },
  },
};

describe(`${inputs} damaged inputs of each wire give values and MicroErrors alone`, () => {
  // Most of the time would go into stacks that nobody reads.
  const limit = Error.stackTraceLimit;
  beforeAll(() => void (Error.stackTraceLimit = 0));
  afterAll(() => void (Error.stackTraceLimit = limit));

  it.each(Object.entries(parsers))("%s", { timeout: 120_000 }, (_name, { seeds, parse }) => {
    const random = generator(1);
    const damaged = damager(seeds, random);
    let refused = 0;
    for (let n = 0; n < inputs; n++) {
      const bytes = damaged();
      if (outcome(() => parse(bytes, random)) !== "ok") refused++;
    }
    // It is no fuzzing if nothing gets through.
    expect(refused).toBeLessThan(inputs);
  });
});
