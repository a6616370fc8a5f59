import { describe, expect, it } from "vitest";
import { Metadata } from "../src/metadata.ts";

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
