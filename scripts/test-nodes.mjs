// Runs a suite of scripts/lib/suites.mjs on other Node versions: `node scripts/test-nodes.mjs 24:short 22:smoke`.
import { inSeconds, root, run, timed } from "./lib/run.mjs";
import { nodeFolder } from "./lib/nodes.mjs";

let failed = false;
for (const wanted of process.argv.slice(2)) {
  const [major, suite = "smoke"] = wanted.split(":");
  const { value: bin, seconds } = await timed(() => nodeFolder(major));
  if (bin === undefined) continue;
  console.log(`Node ${major}: ready in ${inSeconds(seconds)}`);
  const { code } = await run(`${bin}/node`, [`${root}/scripts/test.mjs`, `--suite=${suite}`], {
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  failed ||= code !== 0;
}
process.exitCode = failed ? 1 : 0;
