import { resolve } from "node:path";
import { type Command, UsageError } from "../command.ts";
import type { Child } from "../run/child.ts";
import { entryOf } from "../run/entry.ts";
import { keep } from "../run/keep.ts";
import { Watch } from "../run/watch.ts";

export const run: Command = {
  name: "run",
  summary: "Run a service, and run it anew when its sources change or it crashes",
  usage: "[FILE|DIR] [ARGUMENTS OF THE SERVICE…]",
  examples: ["run", "run greeter.ts", "run --no-watch --registry=local ./greeter"],
  flags: {
    "no-watch": { type: "boolean", help: "do not look for changes; end when the service ends well" },
    tsx: {
      type: "boolean",
      help: "TypeScript through tsx also where Node runs it itself: for enums, and .js imports of .ts files",
    },
    retries: { help: "starts in a row after crashes (no limit)" },
  },
  passesOn: true,
  async run(invocation) {
    const { args, flags, env, signal, command } = invocation;
    const [source = ".", ...rest] = args;
    const entry = entryOf(source, flags["tsx"] === true);
    const retries = flags["retries"] === undefined ? Infinity : Number(flags["retries"]);
    if (Number.isNaN(retries) || retries < 0) throw new UsageError("--retries: a number is needed", command);
    const say = (text: string): void => void process.stderr.write(`micro: ${text}\n`);
    if (entry.note !== undefined) say(entry.note);
    const watch =
      flags["no-watch"] === true
        ? undefined
        : new Watch(entry.watched, dataFolders(entry.cwd, { ...process.env, ...env }), say);
    let current: Child | undefined;
    invocation.onForcedEnd(() => current?.kill());
    try {
      return await keep({
        args: [...entry.nodeArgs, entry.file, ...rest],
        cwd: entry.cwd,
        env: { ...process.env, ...env },
        watch,
        retries,
        signal,
        say,
        started: (child) => (current = child),
      });
    } finally {
      watch?.close();
    }
  },
};

/** Folders that services of ours write to, as far as is known from here: the local registry's, which may be chosen in the code, and the data's. */
function dataFolders(cwd: string, env: NodeJS.ProcessEnv): string[] {
  const { MICRO_REGISTRY, MICRO_REGISTRY_ADDRESS, MICRO_LOCAL_DIR, MICRO_DATA_DIR } = env;
  const address = (MICRO_REGISTRY || "local") === "local" ? MICRO_REGISTRY_ADDRESS : undefined;
  const usual = `/tmp/ts-micro-${process.getuid?.() ?? 0}`;
  return [usual, address, MICRO_LOCAL_DIR, MICRO_DATA_DIR].flatMap((folder) => (folder ? [resolve(cwd, folder)] : []));
}
