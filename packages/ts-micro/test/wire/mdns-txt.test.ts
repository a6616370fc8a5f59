import { deflateSync, inflateSync } from "node:zlib";
import { assert, constantFrom, integer, jsonValue, property, string, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePacket } from "ts-micro/wire/dns";
import { decodeTxt, encodeTxt, maxTxtBytes, type MdnsTxt } from "ts-micro/wire/mdns-txt";
import { capture } from "./captures.ts";
import { outcome } from "./outcome.ts";

const goldens = ["v4-mdns", "v5-mdns"].flatMap((name) =>
  (capture(name).packets ?? []).flatMap(({ hex, decoded }) => {
    const packet = decodePacket(Buffer.from(hex, "hex"));
    const json = [...decoded.answers, ...decoded.authority].find((r) => r.type === "TXT")?.json ?? "";
    return [...packet.answers, ...packet.authority].flatMap((r) =>
      r.type === "TXT" && json !== "" ? [{ strings: r.strings, json }] : [],
    );
  }),
);
const small: MdnsTxt = { metadata: { protocol: "mucp" }, service: "greeter", version: "latest", endpoints: [] };

function packed(json: string): string[] {
  return [deflateSync(json).toString("hex")];
}

function jsonOf(strings: readonly string[]): string {
  return inflateSync(Buffer.from(strings.join(""), "hex")).toString();
}

describe("the TXT payload of Go's mDNS registry", () => {
  it("is read from what Go servers announce, and written as the same JSON", () => {
    expect(goldens.length).toBeGreaterThanOrEqual(8);
    for (const { strings, json } of goldens) {
      expect(jsonOf(strings)).toBe(json);
      expect(jsonOf(encodeTxt(decodeTxt(strings)))).toBe(json);
    }
    const { service, version, metadata, endpoints } = decodeTxt(goldens[0]?.strings ?? []);
    expect([service, version, metadata["protocol"]]).toEqual(["greeter", "latest", "mucp"]);
    expect(endpoints[0]).toEqual({
      name: "Greeter.Hello",
      request: { name: "Request", type: "Request", values: [{ name: "name", type: "string", values: [] }] },
      response: { name: "Response", type: "Response", values: [{ name: "msg", type: "string", values: [] }] },
      metadata: {},
    });
  });

  it("is lower-case hex of zlib, in strings of 255 bytes and a rest", () => {
    const metadata = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`key-${i}`, `${Math.sin(i)}`]));
    const strings = encodeTxt({ ...small, metadata });
    expect(strings.length).toBeGreaterThan(2);
    expect(strings.slice(0, -1).every((s) => s.length === 255)).toBe(true);
    expect(strings.join("")).toMatch(/^789c[0-9a-f]+$/);
    expect(decodeTxt(strings).metadata).toEqual(metadata);
  });

  it("is read with keys in any case, members missing or null, unknown ones ignored, hex in upper case", () => {
    const json =
      '{"SERVICE":"s","version":"v","x":1,"METADATA":null,"Endpoints":[{"NAME":"A.B","request":null,"response":{"name":"r","type":"t"}}]}';
    expect(decodeTxt(packed(json).map((s) => s.toUpperCase()))).toEqual({
      service: "s",
      version: "v",
      metadata: {},
      endpoints: [{ name: "A.B", request: undefined, response: { name: "r", type: "t", values: [] }, metadata: {} }],
    });
    expect(decodeTxt(packed("{}"))).toEqual({ service: "", version: "", metadata: {}, endpoints: [] });
  });

  it("that is no such thing is PROTOCOL", () => {
    const nested = (depth: number): string => '{"name":"","type":"","values":['.repeat(depth) + "]}".repeat(depth);
    const broken = [
      [],
      [""],
      ["zz"],
      ["789"],
      ["789c"],
      ["00"],
      packed(""),
      packed("[]"),
      packed("null"),
      packed('{"Service":1}'),
      packed('{"Metadata":[]}'),
      packed('{"Metadata":{"a":1}}'),
      packed('{"Endpoints":{}}'),
      packed('{"Endpoints":[1]}'),
      packed('{"Endpoints":[{"name":1}]}'),
      packed('{"Endpoints":[{"request":"x"}]}'),
      packed('{"Endpoints":[{"request":{"values":{}}}]}'),
      packed('{"Metadata":{"__proto__":"x"}}'),
      packed(`{"Endpoints":[{"request":${nested(17)}}]}`),
    ];
    for (const strings of broken) expect([strings, outcome(() => decodeTxt(strings))]).toEqual([strings, "PROTOCOL"]);
    expect(outcome(() => decodeTxt(packed(`{"Endpoints":[{"request":${nested(16)}}]}`)))).toBe("ok");
  });

  it("that would unpack to more than 1 MiB is PROTOCOL, whatever its size", () => {
    const filled = (bytes: number): string[] => packed(`{"Service":"${"x".repeat(bytes - 14)}"}`);
    expect(outcome(() => decodeTxt(filled(maxTxtBytes)))).toBe("ok");
    expect(outcome(() => decodeTxt(filled(maxTxtBytes + 1)))).toBe("PROTOCOL");
    expect(outcome(() => decodeTxt(packed("\0".repeat(40 << 20))))).toBe("PROTOCOL");
  });

  it("random, damaged or of other JSON gives a payload or PROTOCOL", () => {
    const judge = (strings: string[]): void => {
      expect(["ok", "PROTOCOL"]).toContain(outcome(() => decodeTxt(strings)));
    };
    const golden = goldens[0]?.strings.join("") ?? "";
    const damaged = (at: number, put: string): void =>
      judge([golden.slice(0, at) + put + golden.slice(at + put.length)]);
    const hexBytes = string({ unit: constantFrom(...Array.from("0123456789abcdef")), maxLength: 6 });
    expect(() =>
      assert(
        property(uint8Array(), (bytes) => judge([Buffer.from(bytes).toString("hex")])),
        { numRuns: 1000 },
      ),
    ).not.toThrow();
    expect(() =>
      assert(property(integer({ min: 0, max: golden.length }), hexBytes, damaged), { numRuns: 1000 }),
    ).not.toThrow();
    const keys = constantFrom("Service", "Version", "Metadata", "Endpoints", "request", "values");
    expect(() =>
      assert(
        property(keys, jsonValue(), (key, value) =>
          judge(packed(JSON.stringify({ [key]: value, Endpoints: [{ [key]: value }] }))),
        ),
        { numRuns: 1000 },
      ),
    ).not.toThrow();
  });
});
