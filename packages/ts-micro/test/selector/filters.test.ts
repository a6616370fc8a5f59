import { expect, it } from "vitest";
import type { Node, ServiceRecord } from "../../src/registry.ts";
import { filterEndpoint, filterLabel, filterVersion, preferSameHost, sameHostKey } from "../../src/selector/filters.ts";

function node(id: string, address: string, metadata: Record<string, string> = {}): Node {
  return { id, address, metadata };
}

function record(version: string, nodes: Node[], endpoints: string[] = []): ServiceRecord {
  return {
    name: "a",
    version,
    metadata: {},
    endpoints: endpoints.map((name) => ({ name, metadata: {} })),
    nodes,
  };
}

const ids = (records: readonly ServiceRecord[]): string[] => records.flatMap((r) => r.nodes.map((n) => n.id));

it("filterEndpoint keeps the versions that have the endpoint", () => {
  const records = [
    record("1", [node("x", "10.0.0.1:1")], ["Greeter.Hello"]),
    record("2", [node("y", "10.0.0.2:1")], ["Greeter.Hello", "Greeter.Bye"]),
  ];
  expect(ids(filterEndpoint("Greeter.Bye")(records))).toEqual(["y"]);
  expect(ids(filterEndpoint("Greeter.Hello")(records))).toEqual(["x", "y"]);
  expect(ids(filterEndpoint("greeter.hello")(records))).toEqual([]);
});

it("filterLabel keeps the nodes with the label and drops versions without one", () => {
  const records = [
    record("1", [node("x", "", { zone: "eu" }), node("y", "", { zone: "us" })]),
    record("2", [node("z", "", { zone: "us" })]),
  ];
  const kept = filterLabel("zone", "eu")(records);
  expect(ids(kept)).toEqual(["x"]);
  expect(kept).toHaveLength(1);
  expect(ids(records)).toEqual(["x", "y", "z"]);
});

it("filterVersion keeps the one version", () => {
  const records = [record("1", [node("x", "")]), record("2", [node("y", "")])];
  expect(ids(filterVersion("2")(records))).toEqual(["y"]);
});

it("preferSameHost keeps the nodes of this host, by loopback, own interface, Unix socket or mark", () => {
  const near = preferSameHost({ addresses: () => ["10.1.1.1", "fe80::1"] });
  const others = [node("far", "10.1.1.2:80"), node("farther", "[fe80::2]:80")];
  for (const own of [
    node("own", "127.0.0.1:80"),
    node("own", "127.8.8.8:80"),
    node("own", "[::1]:80"),
    node("own", "localhost:80"),
    node("own", "10.1.1.1:80"),
    node("own", "[fe80::1]:80"),
    node("own", "unix:/run/a"),
    node("own", "10.9.9.9:80", { [sameHostKey]: "true" }),
  ])
    expect([own.address, ...ids(near([record("1", [...others, own])]))]).toEqual([own.address, "own"]);
});

it("preferSameHost keeps everything when nothing is on this host", () => {
  const records = [record("1", [node("x", "10.1.1.2:80")]), record("2", [node("y", "10.1.1.3:80")])];
  expect(preferSameHost({ addresses: () => ["10.1.1.1"] })(records)).toBe(records);
});

it("preferSameHost knows the addresses of this machine by itself", () => {
  const records = [record("1", [node("x", "127.0.0.1:80"), node("y", "192.0.2.1:80")])];
  expect(ids(preferSameHost()(records))).toEqual(["x"]);
});
