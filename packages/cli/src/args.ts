import { type Command, type Invocation, UsageError } from "./command.ts";
import { globalFlags, type GlobalFlag } from "./flags.ts";
import { hint } from "./similar.ts";

/** What a command line says. */
export interface Parsed extends Pick<Invocation, "command" | "args" | "flags" | "lists" | "globals" | "env"> {
  /** The names that led to the command. */
  readonly path: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

/**
 * Reads a command line. Global flags stand anywhere, a command's own after its name; `--a-b` is `--a_b`, `--a=1` is `--a 1`; after `--`
 * everything is an argument.
 * @throws UsageError for unknown commands and flags, and for flags without their value.
 */
export function parse(argv: readonly string[], root: Command): Parsed {
  return new Reader(argv, root).read();
}

class Reader {
  readonly #argv: readonly string[];
  #at = 0;
  #command: Command;
  readonly #path: string[] = [];
  readonly #args: string[] = [];
  readonly #flags: Record<string, string | true> = {};
  readonly #lists: Record<string, string[]> = {};
  readonly #globals: string[] = [];
  readonly #env: Record<string, string> = {};
  #help = false;
  #version = false;

  constructor(argv: readonly string[], root: Command) {
    this.#argv = argv;
    this.#command = root;
  }

  read(): Parsed {
    while (this.#at < this.#argv.length) {
      const word = this.#argv[this.#at++] as string;
      if (word === "--") {
        this.#rest((arg) => this.#word(arg));
      } else if (word === "-h" || word === "--help") this.#help = true;
      else if (word === "-v" || word === "--version") this.#version = true;
      else if (word.startsWith("--")) this.#flag(word);
      else if (word.startsWith("-") && word !== "-") this.#short(word);
      else {
        this.#word(word);
        if (this.#command.passesOn === true && this.#args.length > 0) this.#passOn();
      }
    }
    return {
      command: this.#command,
      path: this.#path,
      args: this.#args,
      flags: this.#flags,
      lists: this.#lists,
      globals: this.#globals,
      env: this.#env,
      help: this.#help,
      version: this.#version,
    };
  }

  #rest(take: (arg: string) => void): void {
    while (this.#at < this.#argv.length) take(this.#argv[this.#at++] as string);
  }

  #word(word: string): void {
    const { commands, fallback } = this.#command;
    if (commands === undefined) {
      this.#args.push(word);
      return;
    }
    const named = commands.find(({ name, aliases }) => name === word || aliases?.includes(word));
    const meant = named ?? commands.find(({ name }) => name === fallback);
    if (meant === undefined) {
      const names = commands.map(({ name }) => name);
      throw new UsageError(
        `unknown command ${JSON.stringify([...this.#path, word].join(" "))}${hint(word, names)}`,
        this.#command,
      );
    }
    this.#command = meant;
    this.#path.push(meant.name);
    if (named === undefined) this.#word(word);
  }

  #flag(word: string): void {
    const { name, value } = split(word);
    const own = Object.entries(this.#ownFlags).find(([flag]) => flag.replaceAll("-", "_") === name);
    const global = globalFlags.get(name);
    if (own !== undefined) {
      const [flag, { type = "string", many = false }] = own;
      if (many) (this.#lists[flag] ??= []).push(value ?? this.#value(word));
      else if (type !== "boolean") this.#flags[flag] = value ?? this.#value(word);
      else if (value === undefined || value === "true") this.#flags[flag] = true;
      else if (value === "false") delete this.#flags[flag];
      else throw new UsageError(`${word}: true or false`, this.#command);
    } else if (global !== undefined) this.#global(global, value ?? this.#value(word));
    else throw this.#unknownFlag(word);
  }

  #short(word: string): void {
    const letter = word.slice(1, 2);
    const own = Object.entries(this.#ownFlags).find(([, { short }]) => short === letter);
    if (own === undefined || !(word.length === 2 || word[2] === "=")) throw this.#unknownFlag(word);
    this.#flag(`--${own[0]}${word.slice(2)}`);
  }

  /** Of the command, or of the one that is meant when the group's name stands alone. */
  get #ownFlags(): NonNullable<Command["flags"]> {
    const { flags, commands, fallback } = this.#command;
    return flags ?? commands?.find(({ name }) => name === fallback)?.flags ?? {};
  }

  #value(word: string): string {
    const value = this.#argv[this.#at++];
    if (value === undefined) throw new UsageError(`${word} needs a value`, this.#command);
    return value;
  }

  #global({ name, env, known }: GlobalFlag, value: string): void {
    if (known) this.#globals.push(`--${name}=${value}`);
    const before = this.#env[env];
    this.#env[env] = name === "server_metadata" && before !== undefined ? `${before},${value}` : value;
  }

  /** What follows is another program's. Global flags in it, up to its own `--`, count for that program's environment too. */
  #passOn(): void {
    let flags = true;
    this.#rest((arg) => {
      this.#args.push(arg);
      if (arg === "--") flags = false;
      if (!flags || !arg.startsWith("--")) return;
      const { name, value } = split(arg);
      const global = globalFlags.get(name);
      const given = value ?? this.#argv[this.#at];
      if (global?.known === true && given !== undefined) this.#global(global, given);
    });
  }

  #unknownFlag(word: string): UsageError {
    const { name } = split(word);
    const known = [...globalFlags.keys(), ...Object.keys(this.#ownFlags)];
    return new UsageError(`unknown flag ${word}${hint(name, known)}`, this.#command);
  }
}

function split(word: string): { name: string; value: string | undefined } {
  const at = word.indexOf("=");
  return {
    name: word.slice(2, at < 0 ? undefined : at).replaceAll("-", "_"),
    value: at < 0 ? undefined : word.slice(at + 1),
  };
}
