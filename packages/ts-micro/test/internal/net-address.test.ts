import { describe, expect, it } from "vitest";
import type { NetworkInterfaceInfo } from "node:os";
import { advertiseAddress, endName, parseAddress, parseListenAddress } from "../../src/internal/net-address.ts";

function face(address: string, internal = false): NetworkInterfaceInfo {
  const family = address.includes(":") ? "IPv6" : "IPv4";
  return {
    address,
    internal,
    family,
    netmask: "",
    mac: "",
    cidr: null,
    ...(family === "IPv6" ? { scopeid: 0 } : {}),
  } as NetworkInterfaceInfo;
}

const lo = [face("127.0.0.1", true), face("::1", true)];

describe("addresses to dial", () => {
  it.each([
    ["127.0.0.1:80", { host: "127.0.0.1", port: 80 }],
    ["greeter.local:8080", { host: "greeter.local", port: 8080 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    ["unix:/tmp/x.sock", { path: "/tmp/x.sock" }],
    ["unix:///tmp/x.sock", { path: "/tmp/x.sock" }],
  ])("reads %s", (text, want) => {
    expect(parseAddress(text)).toEqual(want);
  });

  it.each([
    "",
    "host",
    "host:",
    ":80",
    "host:0",
    "host:x",
    "host:70000",
    "host:-1",
    "::1:80",
    "[::1]80",
    "[::1",
    "unix:",
    `unix:/${"x".repeat(107)}`,
  ])("refuses %j with BAD_REQUEST", (text) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });
});

describe("addresses to listen on", () => {
  it.each([
    ["", { host: "", port: 0, last: 0 }],
    [":0", { host: "", port: 0, last: 0 }],
    [":8080", { host: "", port: 8080, last: 8080 }],
    ["127.0.0.1", { host: "127.0.0.1", port: 0, last: 0 }],
    ["127.0.0.1:5000-6000", { host: "127.0.0.1", port: 5000, last: 6000 }],
    ["[::]:0", { host: "::", port: 0, last: 0 }],
    ["::1", { host: "::1", port: 0, last: 0 }],
    ["unix:/tmp/x.sock", { path: "/tmp/x.sock" }],
  ])("reads %j", (text, want) => {
    expect(parseListenAddress(text)).toEqual(want);
  });

  it.each([":6000-5000", ":1-2-3", ":x", ":-5", ":65536", "unix:", "9444"])("refuses %j with BAD_REQUEST", (text) => {
    expect(() => parseListenAddress(text)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });
});

describe("the advertised address", () => {
  it("is what was asked for, with the port listened on when none was given", () => {
    expect(advertiseAddress("127.0.0.1:4000", "greeter.local:80")).toBe("greeter.local:80");
    expect(advertiseAddress("127.0.0.1:4000", "greeter.local")).toBe("greeter.local:4000");
    expect(advertiseAddress("127.0.0.1:4000", "greeter.local:0")).toBe("greeter.local:4000");
    expect(advertiseAddress("127.0.0.1:4000", "::1")).toBe("[::1]:4000");
  });

  it("is the address listened on when that names one interface, a Unix socket or a queue", () => {
    expect(advertiseAddress("127.0.0.1:4000")).toBe("127.0.0.1:4000");
    expect(advertiseAddress("[::1]:4000")).toBe("[::1]:4000");
    expect(advertiseAddress("unix:/tmp/x.sock")).toBe("unix:/tmp/x.sock");
    expect(advertiseAddress("_INBOX.abc")).toBe("_INBOX.abc");
  });

  it("takes the first private address for every interface, before a public one that comes first", () => {
    const interfaces = { lo, a: [face("8.8.8.8")], b: [face("10.1.2.3"), face("fd00::5")] };
    expect(advertiseAddress("[::]:4000", "", interfaces)).toBe("10.1.2.3:4000");
    expect(advertiseAddress(":4000", "", interfaces)).toBe("10.1.2.3:4000");
    expect(advertiseAddress("127.0.0.1:4000", "0.0.0.0", interfaces)).toBe("10.1.2.3:4000");
  });

  it("takes a private IPv6 address in brackets, unless only IPv4 is listened on", () => {
    const interfaces = { lo, a: [face("fe80::1"), face("fd00::5"), face("192.168.0.9")] };
    expect(advertiseAddress("[::]:4000", "", interfaces)).toBe("[fd00::5]:4000");
    expect(advertiseAddress("0.0.0.0:4000", "", interfaces)).toBe("192.168.0.9:4000");
  });

  it("takes a public address when there is no private one, and loopback when there is none at all", () => {
    expect(advertiseAddress(":4000", "", { lo, a: [face("172.32.0.1"), face("100.64.0.1")] })).toBe("100.64.0.1:4000");
    expect(advertiseAddress(":4000", "", { lo, a: [face("172.32.0.1")] })).toBe("172.32.0.1:4000");
    expect(advertiseAddress(":4000", "", { lo })).toBe("127.0.0.1:4000");
    expect(advertiseAddress(":4000", "", { lo, a: [face("fe80::1"), face("169.254.1.1")] })).toBe("127.0.0.1:4000");
  });
});

describe("the name of a socket's end", () => {
  it("shows IPv4 mapped into IPv6 as IPv4, and IPv6 in brackets", () => {
    expect(endName("::ffff:10.0.0.1", 80)).toBe("10.0.0.1:80");
    expect(endName("::1", 80)).toBe("[::1]:80");
    expect(endName(undefined, undefined)).toBe("");
  });
});
