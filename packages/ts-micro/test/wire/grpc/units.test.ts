import {
  array,
  assert,
  boolean,
  constantFrom,
  dictionary,
  double,
  integer,
  property,
  string,
  tuple,
  uint8Array,
} from "fast-check";
import { describe, expect, it } from "vitest";
import { MicroError, errors } from "ts-micro/errors";
import { saysMissing } from "ts-micro/wire/error";
import { grpcType, messageType } from "ts-micro/wire/grpc/content-type";
import { FrameReader, compressedFlag, frame, framePrefix, wholeFrame } from "ts-micro/wire/grpc/frame";
import { gzipFrame, unpack } from "ts-micro/wire/grpc/gzip";
import { decodeHealthRequest, encodeHealthResponse } from "ts-micro/wire/grpc/health";
import { callPath, targetOf } from "ts-micro/wire/grpc/path";
import { decodeMessage, encodeMessage } from "ts-micro/wire/grpc/percent";
import { ProtoWriter, protoFields, protoText } from "ts-micro/wire/grpc/proto";
import { decodeReflectionRequest, encodeReflectionResponse } from "ts-micro/wire/grpc/reflection";
import { decodeStatus, encodeStatus, plainStatus } from "ts-micro/wire/grpc/status";
import { decodeTimeout, encodeTimeout } from "ts-micro/wire/grpc/timeout";
import { decodeTransportMessage, encodeTransportMessage } from "ts-micro/wire/grpc/transport-message";
import { outcome } from "../outcome.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("message framing", () => {
  it("has one byte of flags and four of length", () => {
    expect(frame(Buffer.from("ab"))).toEqual(hex("00 00000002 6162"));
    expect(framePrefix(0x01020304, compressedFlag)).toEqual(hex("01 01020304"));
    expect(wholeFrame(hex("00 00000001 61"))).toEqual(Buffer.from("a"));
    for (const other of ["01 00000001 61", "00 00000002 61", "00 00000001 6162", "00 000000"])
      expect(wholeFrame(hex(other))).toBeUndefined();
  });

  it("is read however it is cut", () => {
    assert(
      property(
        array(tuple(uint8Array({ maxLength: 300 }), boolean()), { maxLength: 8 }),
        integer({ min: 1, max: 64 }),
        (messages, size) => {
          const bytes = Buffer.concat(messages.map(([body, packed]) => frame(body, packed ? 1 : 0)));
          const got: [Buffer, number][] = [];
          const reader = new FrameReader(300, (body, flags) => got.push([Buffer.from(body), flags]));
          for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
          expect(got).toEqual(messages.map(([body, packed]) => [Buffer.from(body), packed ? 1 : 0]));
          expect(reader.held).toBe(0);
        },
      ),
    );
  });

  it("stands any bytes, keeps no more than it was given, and refuses what is announced too large before it has come", () => {
    assert(
      property(array(uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
        const reader = new FrameReader(100, () => {});
        let given = 0;
        const end = outcome(() => {
          for (const chunk of chunks) {
            given += chunk.length;
            reader.push(Buffer.from(chunk));
            expect(reader.held).toBeLessThanOrEqual(Math.min(given, 105));
          }
        });
        expect(["ok", "RESOURCE_EXHAUSTED"]).toContain(end);
      }),
      { numRuns: 1000 },
    );
    const reader = new FrameReader(4 << 20, () => {});
    expect(outcome(() => reader.push(framePrefix((4 << 20) + 1)))).toBe("RESOURCE_EXHAUSTED");
    expect(outcome(() => new FrameReader(10, () => {}).push(hex("00 ffffffff")))).toBe("RESOURCE_EXHAUSTED");
  });

  it("takes four megabytes in single bytes in linear time and space", () => {
    let got = 0;
    const reader = new FrameReader(4 << 20, (body) => (got = body.length));
    reader.push(framePrefix(1 << 20));
    const one = Buffer.from("x");
    for (let i = 0; i < 1 << 20; i++) reader.push(one);
    expect(got).toBe(1 << 20);
  });
});

describe("gzip", () => {
  it("is undone, and used only where it is shorter", () => {
    const long = Buffer.alloc(10_000, "abc");
    const packed = gzipFrame(long);
    expect([packed[0], packed.length < 1000]).toEqual([compressedFlag, true]);
    expect(unpack(packed.subarray(5), 1, "gzip", 10_000)).toEqual(long);
    expect(gzipFrame(Buffer.from("short"))[0]).toBe(0);
  });

  it("never gives more than the limit, and names what is wrong", () => {
    const bomb = gzipFrame(Buffer.alloc(50 << 20));
    expect(outcome(() => unpack(bomb.subarray(5), 1, "gzip", 4 << 20))).toBe("RESOURCE_EXHAUSTED");
    expect(outcome(() => unpack(bomb.subarray(5, 200), 1, "gzip", 64 << 20))).toBe("PROTOCOL");
    expect(outcome(() => unpack(Buffer.from("no"), 1, undefined, 10))).toBe("PROTOCOL");
    expect(outcome(() => unpack(Buffer.from("no"), 2, "gzip", 10))).toBe("PROTOCOL");
    expect(outcome(() => unpack(Buffer.from("no"), 1, "snappy", 10))).toBe("UNSUPPORTED");
    assert(
      property(uint8Array(), (body) => {
        expect(outcome(() => unpack(Buffer.from(body), 1, "gzip", 100))).toMatch(/PROTOCOL|ok/);
      }),
    );
  });
});

describe("grpc-timeout", () => {
  it("has at most eight digits, and is never shorter than the time there is", () => {
    assert(
      property(double({ min: 1e-6, max: 1e13, noNaN: true }), (ms) => {
        const text = encodeTimeout(ms);
        expect(text).toMatch(/^\d{1,8}[HMSmun]$/);
        const back = decodeTimeout(text) as number;
        expect(back * (1 + 1e-12)).toBeGreaterThanOrEqual(Math.min(ms, 99_999_999 * 3_600_000));
      }),
    );
  });

  it("is read in every unit, and nothing else is", () => {
    expect(["1H", "2M", "3S", "4m", "5u", "6n"].map(decodeTimeout)).toEqual([
      3_600_000, 120_000, 3000, 4, 0.005, 0.000006,
    ]);
    for (const bad of ["", "1", "m", "-1m", "1.5S", "123456789m", "1 m", "1h"])
      expect(decodeTimeout(bad)).toBeUndefined();
  });
});

describe("grpc-message", () => {
  it("is percent-encoded UTF-8 in printable ASCII, both ways", () => {
    expect(encodeMessage("100% é\n")).toBe("100%25 %C3%A9%0A");
    assert(
      property(string({ unit: "binary" }), (text) => {
        const encoded = encodeMessage(text);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeMessage(encoded)).toBe(Buffer.from(text).toString());
      }),
    );
  });

  it("keeps what is no escape", () => {
    expect(["100%", "%zz", "%4", "a%41b", "%C3%28"].map(decodeMessage)).toEqual([
      "100%",
      "%zz",
      "%4",
      "aAb",
      "\uFFFD(",
    ]);
  });
});

describe("status", () => {
  it("writes the worked example of the specification", () => {
    expect(encodeStatus(errors.notFound("greeter", "no such user"))).toEqual({
      "grpc-status": "5",
      "grpc-message": '{"id":"greeter","code":404,"detail":"no such user","status":"Not Found"}',
      "grpc-status-details-bin":
        "CAUSSHsiaWQiOiJncmVldGVyIiwiY29kZSI6NDA0LCJkZXRhaWwiOiJubyBzdWNoIHVzZXIiLCJzdGF0dXMiOiJOb3QgRm91bmQifRpJCiB0eXBlLmdvb2dsZWFwaXMuY29tL2Vycm9ycy5FcnJvchIlCgdncmVldGVyEJQDGgxubyBzdWNoIHVzZXIiCU5vdCBGb3VuZA",
    });
  });

  it("comes back with id, status and detail, refusals too; details are errors.Error alone", () => {
    const codes = constantFrom("CONFLICT", "DRAINING", "TIMEOUT", "INTERNAL", "UNSUPPORTED" as const);
    assert(
      property(
        string(),
        string({ minLength: 1, unit: "grapheme", maxLength: 500 }),
        codes,
        boolean(),
        (id, detail, code, refused) => {
          const trailers = encodeStatus(new MicroError({ id, detail, code, refused }));
          const back = decodeStatus(trailers);
          expect(back).toMatchObject({
            id: Buffer.from(id).toString(),
            detail: Buffer.from(detail).toString(),
            refused,
          });
          expect(Object.values(trailers).every((value) => /^[\x20-\x7e]*$/.test(value))).toBe(true);
          const types = protoFields(Buffer.from(trailers["grpc-status-details-bin"] as string, "base64"))
            .filter(({ field }) => field === 3)
            .map(({ value }) => protoText(protoFields(value as Uint8Array)[0]?.value));
          expect(types).toEqual(["type.googleapis.com/errors.Error"]);
        },
      ),
    );
  });

  it("falls back to Go's JSON, then to code and message; a stranger's details are passed over", () => {
    expect(decodeStatus({ "grpc-status": "0" })).toBeUndefined();
    expect(decodeStatus({ "grpc-status": "6", "grpc-message": '{"id":"a","code":409,"detail":"d"}' })).toMatchObject({
      id: "a",
      status: 409,
      detail: "d",
    });
    const foreign = new ProtoWriter()
      .int(1, 3)
      .text(2, "x")
      .bytes(3, new ProtoWriter().text(1, "type.googleapis.com/google.rpc.BadRequest").bytes(2, Buffer.alloc(3)).done())
      .done();
    const trailers = { ...plainStatus(3, "bad"), "grpc-status-details-bin": foreign.toString("base64") };
    expect(decodeStatus(trailers)).toMatchObject({ code: "BAD_REQUEST", status: 400, detail: "bad" });
    expect(decodeStatus({})).toMatchObject({ code: "INTERNAL" });
    expect(decodeStatus({ "grpc-status": "14" })).toMatchObject({ code: "UNAVAILABLE", refused: false });
    expect(decodeStatus(plainStatus(12, "unknown service Greeter.Nope"))).toMatchObject({ code: "NOT_FOUND" });
    const missing = (grpc: number, words: string) => saysMissing(decodeStatus(plainStatus(grpc, words)) as MicroError);
    expect(missing(12, "unknown service Greeter.Nope")).toBe(true);
    // A handler's words.
    for (const grpc of [2, 5]) expect(missing(grpc, "unknown method of payment")).toBe(false);
    expect(decodeStatus(plainStatus(12, "no streams here"))).toMatchObject({ code: "UNSUPPORTED" });
  });

  it.each(["<", "\u0001", '"', "%", "\ud800", "世", "a"])("stays small, whatever the detail: %j", (character) => {
    for (const length of [2000, 6000, 1e6])
      for (const id of ["greeter", "&".repeat(length)]) {
        const error = new MicroError({ id, detail: character.repeat(length), status: 409 });
        for (const told of [encodeStatus(error), encodeStatus(error, ({ detail }) => detail)]) {
          const { "grpc-message": message, "grpc-status-details-bin": details } = told;
          expect(message!.length + details!.length).toBeLessThan(46 * 1024);
          expect(decodeStatus(told)).toMatchObject({ code: "CONFLICT", status: 409 });
        }
      }
  });

  it("is cut where it has to be", () => {
    const big = encodeStatus(new MicroError({ id: "ä".repeat(1e5), detail: "世".repeat(1e6), status: 409 }));
    expect(JSON.stringify(big).length).toBeLessThan(60_000);
    expect(decodeStatus(big)?.detail).toMatch(/^世+…$/);
  });

  it("stands any trailers", () => {
    assert(
      property(
        dictionary(constantFrom("grpc-status", "grpc-message", "grpc-status-details-bin"), string()),
        (trailers) => {
          decodeStatus(trailers);
        },
      ),
      { numRuns: 1000 },
    );
    assert(
      property(
        uint8Array({ maxLength: 80 }),
        (bytes) =>
          void decodeStatus({ "grpc-status": "2", "grpc-status-details-bin": Buffer.from(bytes).toString("base64") }),
      ),
      { numRuns: 1000 },
    );
  });
});

describe("paths and content types", () => {
  it("are Go's", () => {
    expect(callPath("greeter", "Greeter.Hello")).toBe("/greeter.Greeter/Hello");
    expect(callPath("", "Greeter.Hello")).toBe("/Greeter/Hello");
    expect(callPath("x", "/helloworld.Greeter/SayHello")).toBe("/helloworld.Greeter/SayHello");
    for (const path of [
      "/greeter.Greeter/Hello",
      "/go.micro.srv.greeter.Greeter/Hello",
      "/Greeter/Hello",
      "/a.b.Greeter/Hello",
    ])
      expect(targetOf(path)?.endpoint).toBe("Greeter.Hello");
    for (const path of ["/a/b/c", "/", "", "//x", "/a/", "a/b", "/greeter./Hello", "*"])
      expect(targetOf(path)).toBeUndefined();
  });

  it("name the messages' codec, and gRPC-Web is another protocol", () => {
    const types = [
      "application/grpc",
      "application/grpc+proto",
      "application/grpc+json",
      "application/grpc+bytes",
      "application/grpc+msgpack",
      "application/grpc;x=1",
    ];
    expect(types.map(messageType)).toEqual([
      "application/protobuf",
      "application/protobuf",
      "application/json",
      "application/octet-stream",
      "application/msgpack",
      "application/protobuf",
    ]);
    for (const other of [
      "application/grpc-web",
      "application/grpc-web+proto",
      "application/json",
      "text/html",
      undefined,
      "",
    ])
      expect(messageType(other)).toBeUndefined();
    for (const type of [
      "application/protobuf",
      "application/json",
      "application/octet-stream",
      "text/plain",
      "application/x-nope",
    ])
      expect(messageType(grpcType(type))).toBe(type);
  });
});

describe("gRPC's own messages", () => {
  it("health: a service's name, a status", () => {
    expect(decodeHealthRequest(hex("0a 03 616263"))).toBe("abc");
    expect(decodeHealthRequest(Buffer.alloc(0))).toBe("");
    expect(encodeHealthResponse("NOT_SERVING")).toEqual(hex("08 02"));
  });

  it("reflection: questions, and answers that repeat them", () => {
    expect(decodeReflectionRequest(hex("3a 00"))).toEqual({ ask: "services" });
    expect(decodeReflectionRequest(hex("22 03 612e62"))).toEqual({ ask: "symbol", name: "a.b" });
    expect(decodeReflectionRequest(hex("2a 07 0a 03 612e62 10 05"))).toEqual({
      ask: "extension",
      name: "a.b",
      number: 5,
    });
    expect(encodeReflectionResponse(hex("3a00"), { services: ["a"] })).toEqual(hex("12 02 3a00 32 05 0a 03 0a 01 61"));
    expect(encodeReflectionResponse(Buffer.alloc(0), { code: 5, message: "n" })).toEqual(
      hex("12 00 3a 05 08 05 12 01 6e"),
    );
  });

  it("transport: both spellings of the id are written, names are read in canonical form", () => {
    const bytes = encodeTransportMessage({ "Micro-Id": "7", "X-Empty": "" }, Buffer.from("b"));
    expect(bytes.includes("Micro-ID") && bytes.includes("Micro-Id")).toBe(true);
    expect(decodeTransportMessage(bytes)).toEqual({
      header: Object.assign(Object.create(null), { "Micro-Id": "7", "X-Empty": "" }),
      body: Buffer.from("b"),
    });
  });

  it("are read from any bytes without harm", () => {
    for (const read of [decodeHealthRequest, decodeReflectionRequest, decodeTransportMessage, protoFields])
      assert(
        property(uint8Array({ maxLength: 100 }), (bytes) => {
          expect(["ok", "BAD_REQUEST"]).toContain(outcome(() => read(bytes)));
        }),
        { numRuns: 2000 },
      );
  });
});
