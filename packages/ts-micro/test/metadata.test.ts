import { describe, expect, it } from "vitest";
import { Metadata, ResponseMetadata } from "../src/metadata.ts";

describe("Metadata", () => {
  it("compares names without case and iterates canonical ones", () => {
    const metadata = Metadata.from({ "x-user-ID": "42", Foo_bar: "é" });
    expect(metadata.get("X-USER-id")).toBe("42");
    expect(metadata.has("foo_BAR")).toBe(true);
    expect([...metadata]).toEqual([
      ["X-User-Id", "42"],
      ["Foo_bar", "é"],
    ]);
    expect([...metadata.original()]).toEqual([
      ["x-user-ID", "42"],
      ["Foo_bar", "é"],
    ]);
  });

  it("takes objects, pairs and other Metadata, later ones over earlier", () => {
    const metadata = Metadata.from([["a", "1"]])
      .merge({ A: "2" })
      .merge(Metadata.from({ b: "3" }));
    expect(metadata.toObject()).toEqual({ A: "2", B: "3" });
    expect(metadata.size).toBe(2);
  });

  it("takes no text that a wire cannot carry, whichever way it comes in, and cleans what came over one", () => {
    for (const [name, value] of [
      ["X-A", "a\r\nX-Admin: 1"],
      ["X-A", "a\nb"],
      ["X-A", "a\0b"],
      ["X\nA", "b"],
    ] as const) {
      const metadata = Metadata.from({ before: "1" });
      const fails = expect.objectContaining({ code: "BAD_REQUEST", id: "ts.micro.metadata" }) as Error;
      expect(() => metadata.set(name, value)).toThrow(fails);
      expect(() => metadata.merge({ [name]: value })).toThrow(fails);
      expect(() => Metadata.from([[name, value]])).toThrow(fails);
      expect(metadata.toObject()).toEqual({ Before: "1" });
    }
    const came = Metadata.received({ "X-A": "a\r\nb\0c", "X\nB": "d" });
    expect([...came]).toEqual([
      ["X-A", "a b c"],
      ["X B", "d"],
    ]);
  });

  it("of what is added to a reply takes 16 KiB each for head and end, and keeps what fitted", () => {
    const { header, trailer } = new ResponseMetadata();
    const much = "x".repeat(9000);
    const fails = expect.objectContaining({ code: "RESOURCE_EXHAUSTED" }) as Error;
    header.set("X-A", much);
    expect(() => header.set("X-B", much)).toThrow(fails);
    expect(() => header.merge({ "X-B": much })).toThrow(fails);
    expect(() => header.merge(Metadata.from({ "X-B": much }))).toThrow(fails);
    expect([...header].map(([name]) => name)).toEqual(["X-A"]);
    // What takes its place, or the place of what was removed, counts alone.
    header.set("x-a", much).delete("X-A");
    header.set("X-B", "é".repeat(8000)).delete("X-Nothing");
    expect(() => header.set("X-B", "é".repeat(8200))).toThrow(fails);
    expect(header.get("x-b")).toBe("é".repeat(8000));
    expect(trailer.set("X-B", much).size).toBe(1);
  });

  it("is a copy, not a view", () => {
    const first = Metadata.from({ a: "1" });
    const second = first.copy().set("a", "2");
    expect(first.get("a")).toBe("1");
    expect(second.delete("A")).toBe(true);
  });

  it("is safe against names that are members of every object", () => {
    const metadata = Metadata.from([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    expect(metadata.get("__proto__")).toBe("x");
    expect(metadata.get("toString")).toBeUndefined();
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  it("forwards user keys and traces, never per-hop headers or Authorization", () => {
    const dropped = [
      "Accept",
      "Accept-Encoding",
      "Connection",
      "Content-Length",
      "Content-Type",
      "Expect",
      "Host",
      "Keep-Alive",
      "Local",
      "Remote",
      "Micro-Endpoint",
      "Micro-Error",
      "Micro-Id",
      "Micro-Method",
      "Micro-Service",
      "Micro-Stream",
      "Micro-Topic",
      "Proxy-Authorization",
      "Te",
      "Timeout",
      "Trailer",
      "Transfer-Encoding",
      "Upgrade",
      "User-Agent",
      "X-Micro-Id",
      "Grpc-Timeout",
      ":authority",
      "Authorization",
      // A page's and its browser's.
      "Access-Control-Request-Method",
      "Cache-Control",
      "Connect-Timeout-Ms",
      "Cookie",
      "Origin",
      "Pragma",
      "Priority",
      "Referer",
      "Sec-Fetch-Site",
      "X-Grpc-Web",
      "X-User-Agent",
    ];
    const kept = [
      "Micro-From-Service",
      "Micro-Namespace",
      "Micro-Trace-Id",
      "Micro-Span-Id",
      "Traceparent",
      "X-User-Id",
      "Tenant",
    ];
    const metadata = Metadata.from([...dropped, ...kept].map((name): [string, string] => [name, "v"]));
    expect([...metadata.forwarded()].map(([name]) => name).sort()).toEqual([...kept].sort());
  });
});
