// npm run build: every package's dist/ from its src/, by tsc and rolldown.
import { build } from "./lib/build.mjs";
import { ensureInstalled } from "./lib/install.mjs";

await ensureInstalled();
const failed = await build();
if (failed.length > 0) console.error(`does not compile: ${failed.join(", ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;
