import type { UserFlag } from "ts-micro";
import type { Output } from "./output.ts";

/** A command's own flag. */
export interface CommandFlag extends UserFlag {
  /** One letter: `-m` is `--metadata`. */
  readonly short?: string;
  /** It may be given more than once, and all values count. */
  readonly many?: boolean;
}

/** A command, or a group of them. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line for lists of commands. */
  readonly summary: string;
  /** What comes after the name: `SERVICE ENDPOINT [JSON…]`. */
  readonly usage?: string;
  /** Whole command lines after the program's name. */
  readonly examples?: readonly string[];
  readonly flags?: Readonly<Record<string, CommandFlag>>;
  /** Everything after the first argument belongs to another program. */
  readonly passesOn?: boolean;
  readonly commands?: readonly Command[];
  /** The command of the group that is meant when none is named. */
  readonly fallback?: string;
  /** Resolves with the exit code; nothing stands for 0. */
  run?(invocation: Invocation): Promise<number | void>;
}

/** One use of a command. */
export interface Invocation {
  readonly command: Command;
  readonly args: readonly string[];
  /** The command's own flags as they were given: `true` for booleans. */
  readonly flags: Readonly<Record<string, string | true>>;
  /** Those that may be given more than once. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  /** Global flags that components understand, each as `--name=value`. */
  readonly globals: readonly string[];
  /** All global flags, as the environment variables that mean the same. */
  readonly env: Readonly<Record<string, string>>;
  readonly out: Output;
  /** Aborts at the first INT or TERM. */
  readonly signal: AbortSignal;
  /** `undo` runs at a second INT or TERM, just before it ends the process. */
  onForcedEnd(undo: () => void): void;
}

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  readonly command: Command | undefined;

  constructor(message: string, command?: Command) {
    super(message);
    this.command = command;
  }
}

/** The first `count` arguments, all of which must be there. */
export function needArgs(invocation: Invocation, ...names: readonly string[]): string[] {
  const { args, command } = invocation;
  const missing = names[args.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing`, command);
  return args.slice(0, names.length);
}

/** No more than `most` arguments. */
export function noMoreArgs({ args, command }: Invocation, most: number): void {
  if (args.length > most) throw new UsageError(`unexpected argument ${JSON.stringify(args[most])}`, command);
}
