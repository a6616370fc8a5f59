import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, describe, expect, it } from "vitest";
import { compilerOptions, faultsIn, optionsOf, root } from "./program.ts";

const run = promisify(execFile);
const groups = 3;
const methods = 10;
const perService = groups * methods;
const work = mkdtempSync(`${tmpdir()}/ts-micro-types-`);
afterAll(() => rmSync(work, { recursive: true }));

type Style = "schema" | "plain";

const endpointText: Record<Style, (n: number) => string> = {
  schema: (n) => `m${n}: endpoint({
    request: z.object({ id: z.string(), n${n}: z.number(), tags: z.array(z.string()).optional() }),
    response: z.object({ ok: z.boolean(), items: z.array(z.object({ id: z.string(), v${n}: z.number() })) }),
  }, async (req) => ({ ok: req.n${n} > 0, items: [] })),`,
  plain: (n) => `async m${n}(req: { id: string; n${n}: number; tags?: string[] }) {
    return { ok: req.n${n} > 0, items: [] as { id: string; v${n}: number }[] };
  },`,
};

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** Writes `services` services of thirty endpoints each, and a client that calls every one. Returns the files. */
function writeProgram(style: Style, services: number): { folder: string; files: string[] } {
  const folder = `${work}/${style}-${services}`;
  mkdirSync(folder);
  symlinkSync(`${root}node_modules`, `${folder}/node_modules`);
  const files = numbers(services).map((s) => {
    const handled = numbers(groups).map(
      (g) => `.handle("G${g}", { ${numbers(methods).map(endpointText[style]).join("\n")} })`,
    );
    const text = `import { createService, endpoint } from "ts-micro";
import { z } from "zod";
const service = createService({ name: "s${s}" })
${handled.join("\n")};
export type Service${s} = typeof service;
void endpoint; void z;
`;
    writeFileSync(`${folder}/s${s}.ts`, text);
    return `${folder}/s${s}.ts`;
  });
  const client = numbers(services).map((s) => {
    const calls = numbers(groups).flatMap((g) =>
      numbers(methods).map((m) => `(await k${s}.G${g}.m${m}({ id: "x", n${m}: 1 })).items[0]?.v${m}.toFixed();`),
    );
    return `const k${s} = client.service<Service${s}>("s${s}");\n${calls.join("\n")}`;
  });
  const imports = numbers(services).map((s) => `import type { Service${s} } from "./s${s}.ts";`);
  writeFileSync(
    `${folder}/client.ts`,
    `import { createClient } from "ts-micro";\n${imports.join("\n")}\nconst client = createClient();\n${client.join("\n")}\n`,
  );
  writeFileSync(`${folder}/package.json`, '{ "type": "module" }');
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: optionsOf(), include: ["*.ts"] }));
  return { folder, files: [...files, `${folder}/client.ts`] };
}

/** What TypeScript 6 instantiates for a program, which must be without faults. */
function countWith6(files: readonly string[]): Promise<number> {
  const program = ts.createProgram(files, compilerOptions());
  expect(faultsIn(program, files)).toEqual([]);
  return Promise.resolve(program.getInstantiationCount());
}

/** The same with TypeScript 7, by one checker: several would each count what they share. Its faults count only in the program's own files. */
async function countWith7(folder: string): Promise<number> {
  const args = [
    `${root}node_modules/typescript-7/bin/tsc`,
    "-p",
    folder,
    "--singleThreaded",
    "--extendedDiagnostics",
    "--pretty",
    "false",
  ];
  const { stdout } = await run(process.execPath, args, { cwd: folder, maxBuffer: 1e8 }).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout.split("\n").filter((line) => /^(s\d+|client)\.ts\(/.test(line))).toEqual([]);
  return Number(/^Instantiations:\s+(\d+)/m.exec(stdout)?.[1]);
}

describe.each([
  ["schema", 1500],
  ["plain", 350],
] as const)("an endpoint in %s form", (style, limit) => {
  const [small, large] = [1, 10];
  /** The cost of one endpoint more: what ten services take above one. What both share falls out. */
  const perEndpoint = (few: number, many: number): number => (many - few) / ((large - small) * perService);
  const [one, ten] = [writeProgram(style, small), writeProgram(style, large)];

  it(`costs TypeScript 6 at most ${limit} instantiations, its call included`, async () => {
    const cost = perEndpoint(await countWith6(one.files), await countWith6(ten.files));
    expect(cost).toBeGreaterThan(50);
    expect(cost).toBeLessThanOrEqual(limit);
  }, 120_000);

  it(`costs TypeScript 7 at most ${limit} instantiations, its call included`, async () => {
    const cost = perEndpoint(await countWith7(one.folder), await countWith7(ten.folder));
    expect(cost).toBeGreaterThan(50);
    expect(cost).toBeLessThanOrEqual(limit);
  }, 120_000);
});
