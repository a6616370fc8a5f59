import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cellsOfGoals, evaluate, peersOfGates } from "./goals.mjs";
import { parseCell } from "./lib/cells.mjs";
import { json, protobuf, Reader, Writer } from "./lib/wire.mjs";
import { withMore } from "./merge.mjs";
import { chosenPeers, peers } from "./peers.mjs";
import { page } from "./report.mjs";
import { runPeers } from "./run.mjs";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const read = (path: string): string => readFileSync(at(path), "utf8");

interface Cell {
  rate: number;
  ratio: number;
  p50: number;
  p99: number;
  client: number;
  server: number;
  layer: number;
}
interface Results {
  runs: {
    pin: string;
    peers: Record<
      string,
      { cells: Record<string, Cell>; memory: { idle: Record<string, number>; loaded: Record<string, number> } }
    >;
  }[];
}

describe("npm run bench", () => {
  const folder = mkdtempSync(`${tmpdir()}/tsb-test-`);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let said: string;
  let results: Results;
  beforeAll(async () => {
    const args = ["--peers=ts-micro,ts-micro-mucp", "--rounds=1", "--cells=tiny:16", "--ms=60", "--pin=none"];
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [at("bench.mjs"), ...args, `--json=${folder}/results.json`],
      { timeout: 110_000 },
    );
    said = stdout;
    results = JSON.parse(readFileSync(`${folder}/results.json`, "utf8")) as Results;
  });

  it.each(["ts-micro", "ts-micro-mucp"])("measures %s beside the raw socket", (name) => {
    const [run] = results.runs;
    expect(run?.pin).toBe("none");
    const { cells, memory } = run?.peers[name] ?? expect.fail(`no ${name}`);
    expect(Object.keys(cells)).toEqual(["tiny:16"]);
    const cell = cells["tiny:16"] as Cell;
    for (const key of ["rate", "ratio", "p50", "p99", "client", "server"] as const)
      expect(cell[key], key).toBeGreaterThan(0);
    expect(Number.isFinite(cell.layer)).toBe(true);
    for (const of of [memory.idle, memory.loaded])
      expect(of).toEqual({ server: expect.any(Number), client: expect.any(Number) });
  });

  it("says what it measured, and which goals it did not", () => {
    expect(said).toMatch(/^\| ts-micro \| [\d.]+ \|$/m);
    expect(said).toMatch(/^\| \*\*G1\*\* \|.*\| not measured \|$/m);
    expect(said).not.toMatch(/undefined|NaN/);
  });
});

describe("the rounds", () => {
  /** Peers whose figures are made up, and what was done with them. */
  function fakes(fail: (name: string, what: string, nth: number) => boolean) {
    const done: string[] = [];
    const opened = new Map<string, number>();
    let up = 0;
    // Stands in for processes, which have more to them.
    const open = async (name: string): Promise<never> => {
      const nth = (opened.get(name) ?? 0) + 1;
      opened.set(name, nth);
      done.push(name);
      if (fail(name, "open", nth)) throw new Error(`${name} does not open`);
      let cells = 0;
      up++;
      const ask = async (task: string): Promise<unknown> => {
        if (task === "cpu") return 0;
        if (task === "cell" && ++cells > 5 && fail(name, "cell", nth))
          throw Object.assign(new Error(`${name} is gone`), { peer: name });
        return { calls: 20_000, rate: name === "raw" ? 100 : 50 * nth, p50: 1, p99: 2, cpu: 10 };
      };
      const memory = { server: 1, client: 1 };
      return {
        name,
        flows: [],
        client: { ask },
        server: { ask },
        idle: memory,
        memory: async () => memory,
        close: async () => void up--,
      } as never;
    };
    const run = async (rounds: number): Promise<Record<string, object>> =>
      (await runPeers(["raw-aa", "ts-micro", "http2"], { pin: "none", rounds, cells: ["tiny:16"], ms: 1, open })).peers;
    return { done, run, up: () => up };
  }

  it("have new processes each, begin with another peer each, and leave nothing open", async () => {
    const { done, run, up } = fakes(() => false);
    const result = await run(3);
    expect(done.join(" ")).toBe("raw raw-aa ts-micro http2 raw ts-micro http2 raw-aa raw http2 raw-aa ts-micro");
    expect(up()).toBe(0);
    expect(result["ts-micro"]).toMatchObject({ cells: { "tiny:16": { ratio: 1, low: 0.5, high: 1.5 } } });
    expect(result["ts-micro"]).not.toHaveProperty("failed");
  });

  it("go on without a peer that there is not", async () => {
    const { done, run, up } = fakes((name, what) => name === "http2" && what === "open");
    const result = await run(3);
    expect(done.filter((name) => name === "http2")).toHaveLength(2);
    expect(result["http2"]).toEqual({ unavailable: "http2 does not open" });
    expect(result["ts-micro"]).not.toHaveProperty("failed");
    expect(up()).toBe(0);
  });

  it.each(["open", "cell"])("say that a peer failed in one of them (%s), and keep the others", async (step) => {
    const { run, up } = fakes((name, what, nth) => name === "ts-micro" && what === step && nth === 2);
    const result = await run(3);
    expect(result["ts-micro"]).toMatchObject({
      failed: expect.stringMatching(/^2 of 3 rounds: ts-micro /) as string,
      cells: { "tiny:16": { low: 0.5, high: 1.5 } },
    });
    expect(result["http2"]).not.toHaveProperty("failed");
    expect(up()).toBe(0);
  });

  it.each(["open", "cell"])("are no peer's fault when the reference fails (%s)", async (step) => {
    const { run, up } = fakes((name, what, nth) => name === "raw" && what === step && nth === 2);
    const result = await run(3);
    for (const name of ["raw-aa", "ts-micro", "http2"])
      expect(result[name]).toMatchObject({
        failed: "2 of 3 rounds",
        cells: { "tiny:16": expect.any(Object) as object },
      });
    expect(up()).toBe(0);
  });

  it("without a reference there are none", async () => {
    await expect(fakes((name) => name === "raw").run(2)).rejects.toThrow("raw does not open");
  });
});

describe("the goals", () => {
  const cell = (ratio: number): object => ({ cells: { "tiny:128": { ratio, layer: 0.3 } } });
  const measured = (ours: number, aa: number) =>
    evaluate({
      runs: [{ pin: "shared", peers: { "ts-micro": cell(ours), "ts-micro-full": cell(ours), "raw-aa": cell(aa) } }],
    });
  const first = (ours: number, aa: number): unknown =>
    measured(ours, aa).find(({ id, at: where }: { id: string; at?: string }) => id === "G1" && where === "tiny:128")
      ?.met;

  it("count times the run's own A/A", () => {
    expect(first(0.8, 1)).toBe(true);
    expect(first(0.79, 1)).toBe(false);
    expect(first(0.77, 0.96)).toBe(true);
    expect(first(0.8, 1.02)).toBe(false);
  });

  it("allow for the ambient context from Node 24 on, where it is on", () => {
    const layer = (node: string): unknown[] =>
      evaluate({ node, runs: [] }).flatMap(({ id, goal }: { id: string; goal: number }) =>
        id === "G15" ? [goal] : [],
      );
    expect(layer("20.20.2")).toEqual([400, 400]);
    expect(layer("24.21.0")).toEqual([550, 550]);
  });

  it("are not met by a peer that failed in a round", () => {
    const [gate] = evaluate({
      runs: [{ pin: "shared", peers: { "ts-micro": { ...cell(2), failed: "4 of 5 rounds" } } }],
    });
    expect(gate).toMatchObject({ id: "G1", value: undefined, met: undefined });
  });

  it("that gate are all measured by the peers and cells of `--gate`", () => {
    const run = (pin: string): object => {
      const cells = Object.fromEntries(cellsOfGoals(pin).map((each: string) => [each, { ratio: 1, layer: 0.1 }]));
      return { pin, peers: Object.fromEntries(peersOfGates.map((name: string) => [name, { cells }])) };
    };
    const pinned = evaluate({ runs: ["shared", "split"].map(run) }).filter(
      ({ gate, pin }: { gate: boolean; pin?: string }) => gate && pin !== undefined,
    );
    expect(pinned.length).toBeGreaterThan(10);
    for (const { value, aa } of pinned) expect([typeof value, aa]).toEqual(["number", 1]);
  });

  it("that were not measured are neither met nor missed", () => {
    expect(measured(1, 1).find(({ id }: { id: string }) => id === "G5")?.met).toBeUndefined();
  });

  it("have a gate on each of G1, G2, G5, G7, G10a, G14, G15, G17 and G18", () => {
    const gates = measured(1, 1).filter(({ gate }: { gate: boolean }) => gate);
    expect([...new Set(gates.map(({ id }: { id: string }) => id))]).toEqual(
      "G1 G2 G5 G7 G10a G14 G15 G17 G18".split(" "),
    );
  });
});

describe("a run of few peers", () => {
  const run = (names: string[], rounds: number, node = "20.1.0"): Parameters<typeof withMore>[0] => ({
    node,
    machine: "one",
    startup: Object.fromEntries(names.map((name) => [name, { ms: rounds }])),
    runs: [{ pin: "shared", rounds, peers: Object.fromEntries(names.map((name) => [name, { cells: {} }])) }],
  });

  it("makes another whole; what is measured of one process is the later", () => {
    const whole = withMore(run(["raw", "ts-micro"], 5), run(["raw", "nats"], 3));
    expect(whole?.runs).toEqual([
      {
        pin: "shared",
        rounds: 5,
        peers: { raw: { cells: {} }, "ts-micro": { cells: {} }, nats: { cells: {}, rounds: 3 } },
      },
    ]);
    expect(whole?.startup).toEqual({ raw: { ms: 3 }, "ts-micro": { ms: 5 }, nats: { ms: 3 } });
  });

  it("brings who was not available", () => {
    const first = run(["raw"], 5);
    Object.assign(first.runs[0]?.peers ?? {}, { nats: { unavailable: "no nats" } });
    expect(withMore(first, run(["nats"], 3))?.runs[0]?.peers["nats"]).toEqual({ cells: {}, rounds: 3 });
  });

  it("of another pin, slice or method stays one of its own", () => {
    const other = (change: object) => {
      const more = run(["nats"], 3);
      Object.assign(more.runs[0] ?? {}, change);
      return withMore(run(["raw"], 5), more);
    };
    for (const change of [{ pin: "split" }, { ms: 20 }, { method: "another" }]) expect(other(change)).toBeUndefined();
  });

  it("of another Node, or without anyone new, stays one of its own", () => {
    const first = run(["raw", "ts-micro"], 5);
    expect(withMore(first, run(["nats"], 3, "24.1.0"))).toBeUndefined();
    expect(withMore(first, run(["raw", "ts-micro"], 3))).toBeUndefined();
  });
});

describe("the reference's wire", () => {
  const values = [
    { name: "John" },
    { name: "Jöhn" },
    { name: "x".repeat(1000) },
    { name: "ü".repeat(300_000) },
    { name: "" },
  ];

  it.each([
    ["json", json],
    ["protobuf", protobuf(["name"])],
  ])("carries %s, however it is cut", (_, codec) => {
    const sent: Buffer[] = [];
    const writer = new Writer({ write: (bytes: Buffer) => sent.push(Buffer.from(bytes)), writableLength: 0 });
    for (const value of values) {
      writer.begin(1, 0, 0);
      codec.encode(writer, value);
      writer.end();
    }
    writer.flush();
    const bytes = Buffer.concat(sent);
    for (const step of [1, 7, 65_536, bytes.length]) {
      const got: unknown[] = [];
      const reader = new Reader((chunk: Buffer, from: number, to: number) =>
        got.push(codec.decode(chunk, from + 6, to)),
      );
      for (let i = 0; i < bytes.length; i += step) {
        const part = bytes.subarray(i, i + step);
        reader.push(part, part.length);
      }
      expect(got).toEqual(values);
    }
  });
});

describe("bench/", () => {
  it("refuses peers and cells that are not there, and lists those that are", () => {
    expect(() => chosenPeers("raw,nobody")).toThrow(/no peer nobody; there are .*grpc-js/);
    expect(() => parseCell("tiny:x")).toThrow(/no cell tiny:x: .*64k:128/);
    expect(chosenPeers("all")).toEqual(Object.keys(peers).filter((name) => name !== "bare"));
  });

  it("wrote docs/benchmarks.md from bench/results.json: npm run bench:docs", () => {
    expect(read("../docs/benchmarks.md")).toBe(page(JSON.parse(read("results.json"))));
  });

  it("has one Go program, the import path of Go Micro apart", () => {
    expect(read("go/v5/main.go")).toBe(read("go/v4/main.go").replaceAll("go-micro.dev/v4/", "go-micro.dev/v5/"));
  });
});
