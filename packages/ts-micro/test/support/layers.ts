/** The rules of the house (docs/architecture.md): floors, cycles, chains, sizes. Functions over sources, so that each rule is tried on bad ones. */
import { parseModules, type Import, type Module, type Sources } from "./modules.ts";

export interface Violation {
  readonly rule: Rule;
  readonly path: string;
  readonly what: string;
}

export const rules = [
  "folder", // every file has a floor
  "resolves", // a relative import names a file that exists, with its .ts
  "floor", // imports go down, or sideways in one folder
  "driver", // a driver never imports another concern's driver
  "engine", // engines get their drivers as arguments
  "testing", // the suites stand on contracts and ground; nothing stands on them
  "cycle", // no run-time cycle
  "chain", // no long run-time chain
  "library", // at most one third-party library per driver, loaded lazily; none outside of drivers and engines
  "front-door", // nothing that the front door reaches mentions a package or loads a heavy part of Node
  "size", // file lengths
  "any",
  "exit",
  "default-export",
  "unfinished",
] as const;
export type Rule = (typeof rules)[number];

/** The most lines that a file, the 95th of a hundred files and the median file may have, and the most run-time imports in a row. */
export const limits = { lines: 600, p95: 400, median: 120, chain: 9 } as const;

const ground = new Set(["errors.ts", "metadata.ts", "context.ts", "lifecycle.ts", "duration.ts", "clock.ts"]);
const composition = new Set(
  "index assemble call connect core drivers flags function group lazy protocol-names service settings"
    .split(" ")
    .map((name) => `${name}.ts`),
);

/** The folders of drivers: one for each concern that has drivers. */
export const concerns = new Set(
  "protocol registry transport codec broker events store cache sync config auth selector runtime logger".split(" "),
);
const engines = new Set("client server gateway web debug interceptors".split(" "));

/** Parts of Node that cost start-up time: they sit behind `import()`. */
const heavy = new Set(
  "node:http2 node:https node:tls node:dgram node:child_process node:worker_threads node:cluster node:inspector".split(
    " ",
  ),
);

interface Place {
  readonly floor: number;
  /** Files of one folder may import each other. */
  readonly folder: string;
}

/** Where a file stands; undefined when its folder has no floor. */
export function placeOf(path: string): Place | undefined {
  const [first = "", ...rest] = path.split("/");
  if (rest.length === 0) {
    if (ground.has(first)) return { floor: 0, folder: "ground" };
    return composition.has(first) ? { floor: 4, folder: "composition" } : { floor: 1, folder: "contracts" };
  }
  if (first === "wire" || first === "internal") return { floor: 0, folder: "ground" };
  if (first === "backends") return { floor: 1.5, folder: first };
  if (concerns.has(first)) return { floor: 2, folder: first };
  if (engines.has(first)) return { floor: 3, folder: first };
  if (first === "testing") return { floor: /^mesh(\.ts)?$/.test(rest[0] ?? "") ? 5 : 1, folder: "testing" };
  return undefined;
}

const isDriver = (path: string): boolean => concerns.has(path.split("/")[0] ?? "") && path.includes("/");
const isEngine = (path: string): boolean => engines.has(path.split("/")[0] ?? "") && path.includes("/");
const isTesting = (path: string): boolean => path.startsWith("testing/");
const concernOf = (path: string): string => path.slice(0, path.indexOf("/"));

/** The library of a specifier. Packages of one scope are one library: they are released as parts of it. */
export function libraryOf(specifier: string): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  return specifier.split("/")[0];
}

/** Everything wrong in the sources of the runtime package. */
export function findViolations(sources: Sources): Violation[] {
  const modules = parseModules(sources);
  const all = [...modules.values()];
  return [
    ...all.flatMap((module) => [
      ...moduleRules(module),
      ...module.imports.flatMap((one) => importRules(module, one, modules)),
    ]),
    ...cycleRule(modules),
    ...chainRule(modules),
    ...libraryRule(all),
    ...frontDoorRule(modules),
    ...sizeRule(all),
  ];
}

function moduleRules(module: Module): Violation[] {
  const { path } = module;
  const found: Violation[] = [];
  if (placeOf(path) === undefined) found.push({ rule: "folder", path, what: "stands in a folder without a floor" });
  for (const what of module.written.any) found.push({ rule: "any", path, what });
  for (const what of module.written.exit) found.push({ rule: "exit", path, what });
  for (const what of module.written.default) found.push({ rule: "default-export", path, what });
  const words = module.text
    .split("\n")
    .flatMap((line, n) => (/\b(TODO|FIXME)\b/.test(line) ? [`${n + 1}: ${line.trim()}`] : []));
  for (const what of words) found.push({ rule: "unfinished", path, what });
  return found;
}

function importRules(from: Module, one: Import, modules: ReadonlyMap<string, Module>): Violation[] {
  const { target } = one;
  if (target === undefined) return [];
  const violation = (rule: Rule, what: string): Violation[] => [
    { rule, path: from.path, what: `${one.line}: ${what}` },
  ];
  if (!modules.has(target)) return violation("resolves", `${one.specifier} is no source file`);

  const [here, there] = [placeOf(from.path), placeOf(target)];
  if (here === undefined || there === undefined) return [];
  if (isTesting(target) && !isTesting(from.path)) return violation("testing", `imports ${target}`);
  if (isTesting(from.path)) {
    if (here.floor < there.floor) return violation("testing", `a suite imports ${target}, above the contracts`);
    return [];
  }
  if (isDriver(from.path) && isDriver(target) && concernOf(from.path) !== concernOf(target)) {
    return violation("driver", `a ${concernOf(from.path)} driver imports ${target}`);
  }
  if (isEngine(from.path) && isDriver(target) && one.kind !== "type")
    return violation("engine", `imports the driver ${target}`);
  if (here.floor < there.floor) return violation("floor", `imports ${target}, which is above it`);
  if (here.floor === there.floor && here.folder !== there.folder) {
    return violation("floor", `imports ${target}, in another folder of its own floor`);
  }
  return [];
}

/** The modules that `module` loads as it is loaded. */
const loads = (module: Module, modules: ReadonlyMap<string, Module>): Module[] => [
  ...new Set(
    module.imports.flatMap((one) => {
      const target = one.kind === "static" && one.target !== undefined ? modules.get(one.target) : undefined;
      return target === undefined ? [] : [target];
    }),
  ),
];

/** Each run-time cycle once, as the path around it. */
function cycleRule(modules: ReadonlyMap<string, Module>): Violation[] {
  const found: Violation[] = [];
  const done = new Set<Module>();
  const path: Module[] = [];
  const walk = (module: Module): void => {
    const from = path.indexOf(module);
    if (from >= 0) {
      const around = [...path.slice(from), module].map((one) => one.path).join(" → ");
      found.push({ rule: "cycle", path: module.path, what: around });
      return;
    }
    if (done.has(module)) return;
    path.push(module);
    for (const next of loads(module, modules)) walk(next);
    path.pop();
    done.add(module);
  };
  for (const module of modules.values()) walk(module);
  return found;
}

/** The longest row of run-time imports, from its first file to its last. A cycle counts up to where it closes. */
export function longestChain(modules: ReadonlyMap<string, Module>): string[] {
  const known = new Map<Module, Module[]>();
  const open = new Set<Module>();
  const from = (module: Module): Module[] => {
    const before = known.get(module);
    if (before !== undefined) return before;
    if (open.has(module)) return [];
    open.add(module);
    const rest = loads(module, modules).map(from);
    open.delete(module);
    const chain = [module, ...(rest.toSorted((a, b) => b.length - a.length)[0] ?? [])];
    known.set(module, chain);
    return chain;
  };
  const chains = [...modules.values()].map(from).toSorted((a, b) => b.length - a.length);
  return (chains[0] ?? []).map((module) => module.path);
}

function chainRule(modules: ReadonlyMap<string, Module>): Violation[] {
  const chain = longestChain(modules);
  const imports = chain.length - 1;
  if (imports <= limits.chain) return [];
  return [{ rule: "chain", path: chain[0] ?? "", what: `${imports} imports in a row: ${chain.join(" → ")}` }];
}

/** `registry/mdns.ts` and `registry/mdns/query.ts` are one driver. */
const driverOf = (path: string): string => path.split("/").slice(0, 2).join("/").replace(/\.ts$/, "");

function libraryRule(all: readonly Module[]): Violation[] {
  const found: Violation[] = [];
  const used = new Map<string, Set<string>>();
  for (const { path, imports } of all) {
    for (const { specifier, kind, line } of imports) {
      const library = libraryOf(specifier);
      if (library === undefined) continue;
      const place = placeOf(path);
      if (place === undefined || place.floor < 1.5 || place.floor > 3) {
        found.push({ rule: "library", path, what: `${line}: imports ${specifier}, outside of a driver or an engine` });
      } else if (kind === "static") {
        found.push({
          rule: "library",
          path,
          what: `${line}: loads ${specifier} at once, not by import() when it is needed`,
        });
      }
      if (!isDriver(path)) continue;
      used.set(driverOf(path), (used.get(driverOf(path)) ?? new Set()).add(library));
    }
  }
  for (const [driver, libraries] of used) {
    if (libraries.size > 1)
      found.push({ rule: "library", path: `${driver}.ts`, what: `stands on ${[...libraries].join(" and ")}` });
  }
  return found;
}

/** What is reached from a module by imports of some kinds. */
export function reached(
  start: string,
  kinds: readonly Import["kind"][],
  modules: ReadonlyMap<string, Module>,
): Module[] {
  const seen = new Set<string>();
  const walk = (path: string): void => {
    const module = modules.get(path);
    if (module === undefined || seen.has(path)) return;
    seen.add(path);
    for (const one of module.imports) if (kinds.includes(one.kind) && one.target !== undefined) walk(one.target);
  };
  walk(start);
  return [...seen].flatMap((path) => modules.get(path) ?? []);
}

function frontDoorRule(modules: ReadonlyMap<string, Module>): Violation[] {
  const typed = reached("index.ts", ["static", "type"], modules).flatMap(({ path, imports }) =>
    imports
      .filter((one) => one.kind !== "dynamic" && libraryOf(one.specifier) !== undefined)
      .map((one): Violation => ({ rule: "front-door", path, what: `${one.line}: mentions ${one.specifier}` })),
  );
  const loaded = reached("index.ts", ["static"], modules).flatMap(({ path, imports }) =>
    imports
      .filter((one) => one.kind === "static" && heavy.has(one.specifier))
      .map((one): Violation => ({ rule: "front-door", path, what: `${one.line}: loads ${one.specifier} at once` })),
  );
  return [...typed, ...loaded];
}

/** The length below which the share `part` of all files stays. */
export function quantile(lengths: readonly number[], part: number): number {
  const sorted = lengths.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
}

function sizeRule(all: readonly Module[]): Violation[] {
  const found: Violation[] = [];
  for (const { path, lines } of all)
    if (lines > limits.lines) found.push({ rule: "size", path, what: `has ${lines} lines` });
  const lengths = all.map(({ lines }) => lines);
  const [median, p95] = [quantile(lengths, 0.5), quantile(lengths, 0.95)];
  if (median > limits.median) found.push({ rule: "size", path: "*", what: `the median file has ${median} lines` });
  if (p95 > limits.p95) found.push({ rule: "size", path: "*", what: `the 95th of a hundred files has ${p95} lines` });
  return found;
}

/** A tool package (floor 5) uses the runtime package as its users do: by public subpaths. */
export function findToolViolations(sources: Sources, subpaths: ReadonlySet<string>): string[] {
  return [...parseModules(sources).values()].flatMap(({ path, imports }) =>
    imports.flatMap(({ specifier, target, line }) => {
      const outside = target?.startsWith("../") === true;
      const unknown = libraryOf(specifier) === "ts-micro" && !subpaths.has(specifier.replace(/^ts-micro/, "."));
      return outside || unknown ? [`${path}:${line}: ${specifier}`] : [];
    }),
  );
}
