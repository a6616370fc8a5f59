import { parse, type Parsed } from "./args.ts";
import { type Command, UsageError } from "./command.ts";
import { commands } from "./commands.ts";
import { wordsOf } from "./failure.ts";
import { helpOf } from "./help.ts";
import { BrokenPipe, Output } from "./output.ts";
import { hint } from "./similar.ts";
import { version } from "./version.ts";

const program: Command = {
  name: "micro",
  summary: "list, describe, call, stream, run and scaffold services",
  commands,
};

/** Exit codes as a shell expects them of a program that a signal ended. */
const signals = { SIGINT: 130, SIGTERM: 143 } as const;
const brokenPipe = 141;

/** Runs a command line; resolves with the exit code. What it prints has been written by then. */
export async function main(argv: readonly string[]): Promise<number> {
  const out = new Output(process.stdout);
  process.stderr.on("error", () => {});
  try {
    const parsed = parse(argv, program);
    if (parsed.version) await out.line(`micro version ${version}`);
    else if (parsed.help || (parsed.command === program && parsed.args.length === 0))
      await out.text(helpOf(parsed.command, parsed.path));
    else return await perform(parsed, out);
    return 0;
  } catch (error) {
    if (error instanceof BrokenPipe) return brokenPipe;
    const wrong = error instanceof UsageError;
    process.stderr.write(`${wordsOf(error)}\n${wrong ? usageOf(error.command) : ""}`);
    return wrong ? 2 : 1;
  }
}

/** Runs the command until it ends, fails, or a signal ends it. */
async function perform(parsed: Parsed, out: Output): Promise<number> {
  const { command, path } = parsed;
  if (command.name === "help") return help(parsed.args, out);
  if (command.run === undefined) throw new UsageError(`${path.join(" ")}: which one?`, command);
  const controller = new AbortController();
  const undone: (() => void)[] = [];
  let code = 0;
  const onSignal = (name: "SIGINT" | "SIGTERM"): void => {
    if (controller.signal.aborted) {
      for (const undo of undone) undo();
      process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
      process.kill(process.pid, name);
    }
    code = signals[name];
    controller.abort();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const { signal } = controller;
    return (await command.run({ ...parsed, out, signal, onForcedEnd: (undo) => undone.push(undo) })) ?? code;
  } catch (error) {
    if (controller.signal.aborted) return code;
    if (error instanceof UsageError || error instanceof BrokenPipe) throw error;
    process.stderr.write(`${wordsOf(error)}\n`);
    return 1;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

async function help(words: readonly string[], out: Output): Promise<number> {
  let command = program;
  const path: string[] = [];
  for (const word of words) {
    const among: readonly Command[] = command.commands ?? [];
    const next = among.find(({ name, aliases }) => name === word || aliases?.includes(word));
    if (next === undefined) {
      const names = among.map(({ name }) => name);
      throw new UsageError(`no help for ${JSON.stringify(word)}${hint(word, names)}`);
    }
    path.push(next.name);
    command = next;
  }
  await out.text(helpOf(command, path));
  return 0;
}

function usageOf(command: Command | undefined): string {
  if (command === undefined) return "";
  if (command.commands !== undefined) {
    const names = command.commands.map(({ name }) => name).join(", ");
    return `  there are: ${names}\n`;
  }
  const path = pathTo(command, program);
  return `  usage: ${["micro", ...path, ...(command.usage === undefined ? [] : [command.usage])].join(" ")}\n`;
}

function pathTo(command: Command, from: Command): string[] {
  for (const each of from.commands ?? []) {
    if (each === command) return [each.name];
    const below = pathTo(command, each);
    if (below.length > 0) return [each.name, ...below];
  }
  return [];
}
