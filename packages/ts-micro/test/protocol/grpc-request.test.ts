import { describe, expect, it } from "vitest";
import { RequestHeads } from "../../src/protocol/grpc/request.ts";

const route = { service: "greeter", endpoint: "Greeter.Hello", contentType: "application/json" };

describe("heads of gRPC requests", () => {
  const heads = new RequestHeads("http", "127.0.0.1:1", false);
  const of = (left: number): Readonly<Record<string, string>> => heads.of(route, "unary", left, undefined);

  it("are the same for the same limit, whatever adding it to the time has lost", () => {
    const first = of(30_000);
    expect(first).toMatchObject({ ":path": "/greeter.Greeter/Hello", "grpc-timeout": "30000000u" });
    expect(of(29_999.999999999996)).toBe(first);
    expect(of(30_000.000000000004)).toBe(first);
  });

  it("never say less time than there is", () => {
    expect(of(1500.25)["grpc-timeout"]).toBe("1501000u");
    expect(of(999.5)["grpc-timeout"]).toBe("999500u");
    expect(of(Infinity)["grpc-timeout"]).toBeUndefined();
  });
});
