// npm run check: everything that can be said about the tree without running it. Each stage prints its seconds; a failed one prints why.
// `npm run check -- lint format` runs only the named stages, `npm run check -- --without=layout` all but those.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { stripVTControlCharacters } from "node:util";
import { build, builtPackages } from "./lib/build.mjs";
import { ensureInstalled } from "./lib/install.mjs";
import { pack, unpack } from "./lib/pack.mjs";
import { closing, inSeconds, record, root, runNode, timed, tool, tools } from "./lib/run.mjs";

/** What a command said when it failed; undefined when it did not. */
async function fault(script, args, options) {
  const { code, output } = await runNode(script, args, { quiet: true, ...options });
  return code === 0 ? undefined : stripVTControlCharacters(output).trim() || `exit ${code}`;
}

/** Runs `check` for each of `list` and joins the faults. */
async function each(list, check) {
  const faults = [];
  for (const item of list) {
    const said = await check(item);
    if (said) faults.push(said);
  }
  return faults.length > 0 ? faults.join("\n") : undefined;
}

const types = (compiler) =>
  each([...builtPackages().map((name) => `packages/${name}`), "tsconfig.test.json"], (project) =>
    fault(compiler, ["-p", project, "--noEmit", "--pretty", "false"]),
  );

/** Works in a folder that is gone afterwards. */
async function inFolder(work) {
  const folder = mkdtempSync(`${tmpdir()}/ts-micro-check-`);
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const consumer = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: "ES2023",
  lib: ["ES2023", "ESNext.Disposable"],
  module: "NodeNext",
  types: ["node"],
  noEmit: true,
  skipLibCheck: false,
};

/** Our emitted declarations without skipLibCheck. Faults inside of other packages' declarations are theirs. */
const declarations = () =>
  each(builtPackages(), (name) =>
    inFolder(async (folder) => {
      writeFileSync(
        `${folder}/tsconfig.json`,
        JSON.stringify({
          compilerOptions: { ...consumer, typeRoots: [`${root}/node_modules/@types`] },
          include: [`${root}/packages/${name}/dist/**/*.d.ts`],
        }),
      );
      const said = await fault(tools.tsc, ["-p", folder, "--pretty", "false"]);
      const ours = said
        ?.split("\n")
        .filter((line) => !/^\S*node_modules\/(?!ts-micro)/.test(line) && !line.startsWith(" "));
      return ours && ours.length > 0 ? ours.join("\n") : undefined;
    }),
  );

/** The front door as a user has it: the packed package and @types/node, and none of the peers. */
const frontDoor = () =>
  inFolder(async (folder) => {
    const { tarball } = pack("ts-micro", folder);
    unpack(tarball, folder, "ts-micro");
    mkdirSync(`${folder}/node_modules/@types`);
    symlinkSync(`${root}/node_modules/@types/node`, `${folder}/node_modules/@types/node`);
    symlinkSync(`${root}/node_modules/undici-types`, `${folder}/node_modules/undici-types`);
    writeFileSync(`${folder}/user.ts`, 'export * from "ts-micro";\n');
    writeFileSync(`${folder}/package.json`, '{ "type": "module" }\n');
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: consumer, files: ["user.ts"] }));
    return each([tools.tsc, tools.tsc7], (compiler) => fault(compiler, ["-p", folder, "--pretty", "false"]));
  });

const publint = () =>
  each(builtPackages(), (name) =>
    fault(tool("publint/src/cli.js"), ["run", "--strict", "--pack", "npm"], { cwd: `${root}/packages/${name}` }),
  );

/** The packed tarballs with the `esm-only` profile: CommonJS users `require()` the modules (Node >= 20.19), which attw names but accepts. */
const attw = () =>
  inFolder((folder) =>
    each(
      builtPackages().filter((name) => name !== "dashboard"),
      async (name) => {
        const { tarball } = pack(name, folder);
        const options = [
          "--profile",
          "esm-only",
          "--no-definitely-typed",
          "--no-emoji",
          "--no-color",
          "--format",
          "ascii",
        ];
        const said = await fault(tools.attw, [tarball, ...options]);
        // A block for each subpath: those without a fault say nothing of interest.
        const faulty = said
          ?.split(/^\*{5,}$/m)
          .filter((block) => /^(node16 \(from ESM\)|bundler): (?!OK)/m.test(block));
        return faulty && (faulty.length > 0 ? faulty.map((block) => block.trim()).join("\n\n") : said);
      },
    ),
  );

const stages = {
  generated: () => fault(`${root}/scripts/generate.mjs`, ["--check"]),
  types: () => types(tools.tsc),
  "types-7": () => types(tools.tsc7),
  lint: () => fault(tools.oxlint, []),
  format: () => fault(tools.oxfmt, ["--check", "."]),
  // Not counted by itself: the stage is.
  layout: () =>
    fault(
      `${root}/scripts/test.mjs`,
      ["packages/ts-micro/test/layers.test.ts", "packages/ts-micro/test/package.test.ts"],
      {
        env: { ...process.env, TS_MICRO_RESULTS: "" },
      },
    ),
  declarations,
  "front-door": frontDoor,
  unused: () => fault(tools.knip, ["--no-progress", "--no-config-hints"]),
  publint,
  attw,
};

const args = process.argv.slice(2);
const without = args
  .filter((argument) => argument.startsWith("--without="))
  .flatMap((argument) => argument.slice("--without=".length).split(","));
const named = args.filter((argument) => !argument.startsWith("--"));
const unknown = [...named, ...without].filter((name) => !(name in stages));
if (unknown.length > 0) throw new Error(`no stage ${unknown.join(", ")}; there are ${Object.keys(stages).join(", ")}`);
const chosen = Object.keys(stages).filter(
  (name) => (named.length === 0 || named.includes(name)) && !without.includes(name),
);

await ensureInstalled();
const summary = [];
async function stage(name, check) {
  const { value, seconds } = await timed(async () => {
    try {
      return await check();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });
  if (value !== undefined) console.error(`\n--- ${name} ---\n${value}\n`);
  console.log(`${value === undefined ? "ok    " : "FAILED"} ${name.padEnd(14)} ${inSeconds(seconds)}`);
  summary.push({ name, ok: value === undefined });
}

await stage("build", async () => {
  const failed = await build();
  return failed.length > 0 ? `does not compile: ${failed.join(", ")}` : undefined;
});
for (const name of chosen) await stage(name, stages[name]);

const failed = summary.filter(({ ok }) => !ok).map(({ name }) => name);
const counts = { passed: summary.length - failed.length, failed: failed.length };
if (failed.length > 0) console.error(`\nfailed: ${failed.join(", ")}`);
record("check", counts, failed);
closing(counts);
process.exitCode = failed.length > 0 ? 1 : 0;
