import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { baseType, browserRule, type Headers } from "../../../src/wire/http/browser.ts";

const json = { "content-type": "application/json; charset=utf-8" };
const app = "https://app.example.com";
const forbidden = expect.objectContaining({ code: "FORBIDDEN", status: 403 });

function outcome(rule: ReturnType<typeof browserRule>, headers: Headers): unknown {
  try {
    return rule.admit(headers)({});
  } catch (error) {
    return error;
  }
}

describe("without cors", () => {
  const rule = browserRule();

  it.each<[string, Headers]>([
    ["any content type, from no browser", { "content-type": "application/grpc-web" }],
    ["none at all, from no browser", {}],
    ["JSON of a browser, without Origin", { ...json, "sec-fetch-site": "same-origin" }],
  ])("takes %s", (_, headers) => {
    expect(outcome(rule, headers)).toEqual({});
  });

  it.each<[string, Headers]>([
    ["JSON with Origin", { ...json, origin: app }],
    ["JSON of its own origin", { ...json, origin: "http://127.0.0.1:8080", "sec-fetch-site": "same-origin" }],
    ["an opaque Origin", { ...json, origin: "null" }],
    ["an empty Origin", { ...json, origin: "" }],
    ["text/plain of a browser", { "content-type": "text/plain", "sec-fetch-site": "cross-site" }],
    ["JSON in disguise", { "content-type": "text/plain; application/json", "sec-fetch-site": "cross-site" }],
    ["no content type of a browser", { "sec-fetch-site": "none" }],
    ["gRPC-Web of a browser", { "content-type": "application/grpc-web", "sec-fetch-site": "same-origin" }],
  ])("refuses %s", (_, headers) => {
    expect(outcome(rule, headers)).toEqual(forbidden);
  });

  it("answers no preflight", () => {
    expect(rule.preflight("OPTIONS", { origin: app, "access-control-request-method": "POST" })).toBeUndefined();
  });
});

describe("with cors", () => {
  const rule = browserRule({
    origins: [app, "http://localhost:5173", "https://*.example.org", "HTTPS://Shop.Example.com:443/"],
  });

  it.each([
    app,
    "http://localhost:5173",
    "https://a.example.org",
    "https://a.b.example.org",
    "https://shop.example.com",
  ])("takes any content type from %s and names the origin", (origin) => {
    expect(outcome(rule, { origin, "content-type": "application/grpc-web", "sec-fetch-site": "cross-site" })).toEqual({
      "access-control-allow-origin": origin,
      vary: "origin",
    });
  });

  it("has caches keep answers to callers without one apart, and not those that are alike for all", () => {
    expect(rule.admit(json)({})).toEqual({ vary: "origin" });
    expect(rule.admit(json)({ vary: "x-user" })).toEqual({ vary: "x-user, origin" });
    expect(browserRule({ origins: "*" }).admit(json)({})).toEqual({});
    expect(browserRule().admit(json)({})).toEqual({});
  });

  it.each([
    "https://evil.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.io",
    "https://example.org",
    "https://.example.org",
    "https://evil.io/.example.org",
    "http://a.example.org",
    "null",
  ])("refuses %s", (origin) => {
    expect(outcome(rule, { ...json, origin })).toEqual(forbidden);
  });

  it("refuses what a page sends without Origin and without JSON", () => {
    expect(outcome(rule, { "sec-fetch-site": "cross-site" })).toEqual(forbidden);
  });

  it("lets pages read every header of the answer, or those listed", () => {
    const answer = { "content-type": "application/json", "grpc-status": "0", "x-page": "2" };
    const all = { "access-control-allow-origin": "*", "access-control-expose-headers": "grpc-status, x-page" };
    expect(browserRule({ origins: "*" }).admit({ origin: app })(answer)).toEqual(all);
    expect(browserRule({ origins: "*", exposed: ["x-page"] }).admit({ origin: app })(answer)).toEqual({
      ...all,
      "access-control-expose-headers": "x-page",
    });
  });

  it("takes cookies only where asked to", () => {
    const credentials = browserRule({ origins: [app], credentials: true });
    expect(credentials.admit({ origin: app })({})).toHaveProperty("access-control-allow-credentials", "true");
    expect(() => browserRule({ origins: "*", credentials: true })).toThrow(/credentials need listed origins/);
  });

  it.each(["app.example.com", "https://app.example.com/path", "https://", "*", "https://*", "https://u@a.io"])(
    "does not take %j for an origin",
    (origin) => {
      expect(() => browserRule({ origins: [origin] })).toThrow(/is no origin/);
    },
  );
});

describe("a call that only reads", () => {
  it.each([undefined, { origins: [app] }, { origins: "*" as const }])("is let in from its own pages (%j)", (cors) => {
    const rule = browserRule(cors);
    for (const site of ["same-origin", "none"]) {
      expect(() => rule.admit({ "sec-fetch-site": site }, true)).not.toThrow();
      expect(() => rule.admit({ "sec-fetch-site": site })).toThrow(/application\/json/);
    }
    for (const site of ["cross-site", "same-site", "", "None"])
      expect(() => rule.admit({ "sec-fetch-site": site }, true)).toThrow(/application\/json/);
    const stranger = { origin: "https://evil.io", "sec-fetch-site": "same-origin" };
    if (cors?.origins !== "*") expect(() => rule.admit(stranger, true)).toThrow(/calls from/);
  });

  it("gets an answer that a cache may keep beside those to pages of other origins", () => {
    const answer = { vary: "accept-encoding", "x-page": "2" };
    const exposed = { "access-control-expose-headers": "x-page" };
    const own = { "sec-fetch-site": "same-origin" };
    expect(browserRule({ origins: [app] }).admit(own, true)(answer)).toEqual({
      vary: "accept-encoding, origin",
      ...exposed,
    });
    expect(browserRule({ origins: "*" }).admit(own, true)(answer)).toEqual({
      "access-control-allow-origin": "*",
      ...exposed,
    });
    expect(browserRule().admit(own, true)(answer)).toEqual({});
  });
});

describe("preflight", () => {
  const request = {
    origin: app,
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-grpc-web",
  };

  it("allows what is asked for, for two hours", () => {
    expect(browserRule({ origins: [app] }).preflight("OPTIONS", request)).toEqual({
      "access-control-allow-origin": app,
      "access-control-allow-methods": "GET, POST",
      "access-control-allow-headers": "content-type,x-grpc-web",
      "access-control-max-age": "7200",
      vary: "origin, access-control-request-method, access-control-request-headers",
    });
  });

  it("keeps to its options", () => {
    const asks = { ...request, "access-control-request-private-network": "true" };
    const narrow = { origins: [app], headers: ["content-type"], methods: ["POST"], maxAge: "1m" };
    const answer = browserRule({ ...narrow, privateNetwork: true }).preflight("OPTIONS", asks);
    expect(answer).toMatchObject({
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "content-type",
      "access-control-max-age": "60",
      "access-control-allow-private-network": "true",
    });
    expect(browserRule(narrow).preflight("OPTIONS", asks)).not.toHaveProperty("access-control-allow-private-network");
  });

  it("is none of another origin, another method, or without its header", () => {
    const rule = browserRule({ origins: [app] });
    expect(rule.preflight("OPTIONS", { ...request, origin: "https://evil.io" })).toBeUndefined();
    expect(rule.preflight("POST", request)).toBeUndefined();
    expect(rule.preflight("OPTIONS", { origin: app })).toBeUndefined();
  });

  it("never gives back a header that would break the answer", () => {
    const rule = browserRule({ origins: "*" });
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (origin, asked) => {
        const headers = { origin, "access-control-request-method": "POST", "access-control-request-headers": asked };
        for (const value of Object.values(rule.preflight("OPTIONS", headers) ?? {})) expect(value).toMatch(/^[ -~]*$/);
      }),
    );
  });
});

it("content types are read up to their parameters", () => {
  expect(baseType("Application/JSON ; charset=utf-8")).toBe("application/json");
  expect(baseType(undefined)).toBe("");
});
