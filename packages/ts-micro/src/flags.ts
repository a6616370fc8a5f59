import { errors } from "./errors.ts";
import { flagTable, numberOf, read, type Settings } from "./settings.ts";

/** A flag of the user's own. */
export interface UserFlag {
  /**
   * `boolean` flags are true without a value; theirs are Go's: 1, t, T, TRUE, true, True, 0, f, F, FALSE, false, False, given with `=`.
   * Default `string`.
   */
  type?: "string" | "boolean" | "number" | undefined;
  /** Environment variable that sets it. */
  env?: string | undefined;
  default?: string | boolean | number | undefined;
  help?: string | undefined;
}

/** Parsed command line. */
export interface ParsedFlags {
  readonly settings: Settings;
  /** The user's own flags, defaults included. */
  readonly values: Readonly<Record<string, string | boolean | number | undefined>>;
  /** Everything that is no flag of ours or the user's, in order. */
  readonly rest: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
}

/**
 * Reads a command line: our flags (`--registry=etcd`, `--registry etcd`; `--a-b` is `--a_b`), the user's, `-h`, `-v`. Unknown ones stay in
 * `rest`. After `--` everything is rest. A flag with an empty value (`--registry=$UNSET`) counts as not given, as an empty variable does; only
 * the user's flags that are strings may be empty.
 */
export function parseFlags(
  argv: readonly string[],
  own: Readonly<Record<string, UserFlag>>,
  env: Readonly<Record<string, string | undefined>>,
): ParsedFlags {
  const given = new Map<string, string[]>();
  const values: Record<string, string | boolean | number | undefined> = {};
  const rest: string[] = [];
  let help = false;
  let version = false;
  for (const [name, flag] of Object.entries(own)) {
    const text = flag.env === undefined ? undefined : env[flag.env];
    values[name] = text === undefined || text === "" ? flag.default : convert(flag.env as string, flag, text);
  }
  const userName = new Map(Object.keys(own).map((name) => [name.replaceAll("-", "_"), name]));
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] as string;
    if (arg === "--") {
      rest.push(...argv.slice(i + 1));
      break;
    }
    if (arg === "-h" || arg === "--help") help = true;
    else if (arg === "-v" || arg === "--version") version = true;
    else if (arg.startsWith("--")) {
      const at = arg.indexOf("=");
      const name = arg.slice(2, at < 0 ? undefined : at).replaceAll("-", "_");
      const mine = userName.get(name);
      const ours = mine === undefined && flagTable.some((row) => row.flag === name);
      const flag = mine === undefined ? undefined : (own[mine] as UserFlag);
      if (!ours && flag === undefined) {
        rest.push(arg);
        continue;
      }
      let value = at < 0 ? undefined : arg.slice(at + 1);
      if (value === undefined && flag?.type === "boolean") value = "true";
      if (value === undefined) {
        value = argv[++i];
        if (value === undefined) throw errors.badRequest("ts-micro", `--${name} needs a value`);
      }
      if (mine !== undefined && flag !== undefined) {
        if (value !== "" || (flag.type ?? "string") === "string") values[mine] = convert(`--${mine}`, flag, value);
      } else if (value !== "") given.set(name, [...(given.get(name) ?? []), value]);
    } else rest.push(arg);
  }
  const settings: Record<string, unknown> = {};
  for (const { flag, key, form } of flagTable) {
    const texts = given.get(flag);
    if (texts !== undefined) settings[key] = read(`--${flag}`, form, texts);
  }
  return { settings, values, rest, help, version };
}

/** What Go's strconv.ParseBool takes. */
const booleans = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);

function convert(name: string, flag: UserFlag, text: string): string | boolean | number {
  switch (flag.type ?? "string") {
    case "string":
      return text;
    case "boolean": {
      const value = booleans.get(text);
      if (value === undefined) throw errors.badRequest("ts-micro", `${name}=${text}: true or false is needed`);
      return value;
    }
    case "number": {
      const value = numberOf(text);
      if (Number.isNaN(value)) throw errors.badRequest("ts-micro", `${name}=${text}: a number is needed`);
      return value;
    }
  }
}

/** What `-h` prints. */
export function helpText(name: string, own: Readonly<Record<string, UserFlag>>): string {
  const rows: [string, string][] = [
    ...Object.entries(own).map(([flag, { help, default: value, env }]): [string, string] => [
      `--${flag}`,
      `${help ?? ""}${value === undefined ? "" : ` (${String(value)})`}${env === undefined ? "" : ` [$${env}]`}`.trim(),
    ]),
    ...flagTable.map(({ flag, help }): [string, string] => [`--${flag}`, `${help} [$MICRO_${flag.toUpperCase()}]`]),
    ["-h, --help", "show this"],
    ["-v, --version", "show the version"],
  ];
  const width = Math.max(...rows.map(([flag]) => flag.length));
  return `${name}\n\n${rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`).join("\n")}\n`;
}
