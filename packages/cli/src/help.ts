import type { Command } from "./command.ts";
import { globalFlags } from "./flags.ts";
import { version } from "./version.ts";

/** Help of a command; that of the program itself for an empty path. */
export function helpOf(command: Command, path: readonly string[]): string {
  const name = ["micro", ...path].join(" ");
  const { commands, usage, flags, examples } = command;
  const sections: [string, string[]][] = [
    [
      "Usage",
      [commands === undefined ? `${name}${flags ? " [flags]" : ""} ${usage ?? ""}`.trimEnd() : `${name} COMMAND`],
    ],
  ];
  if (commands !== undefined) sections.push(["Commands", table(commands.map(commandRow))]);
  if (flags !== undefined) {
    const rows = Object.entries(flags).map(([flag, { type, short, help = "", default: value }]): [string, string] => [
      `${short === undefined ? "" : `-${short}, `}--${flag}${type === "boolean" ? "" : " value"}`,
      `${help}${value === undefined ? "" : ` (${String(value)})`}`,
    ]);
    sections.push(["Flags", table(rows)]);
  }
  if (path.length === 0) {
    sections.push(["Global flags", table(globalRows())]);
  }
  if (examples !== undefined) sections.push(["Examples", examples.map((example) => `micro ${example}`)]);
  const title = path.length === 0 ? `micro ${version}: ${command.summary}` : `${name}: ${command.summary}`;
  const after = path.length === 0 ? "" : "\nEvery command takes the global flags that `micro --help` lists.\n";
  const body = sections.map(([head, lines]) => `\n${head}:\n${lines.map((line) => `  ${line}\n`).join("")}`).join("");
  return `${title}\n${body}${after}`;
}

function commandRow({ name, aliases = [], summary }: Command): [string, string] {
  return [[name, ...aliases].join(", "), summary];
}

function globalRows(): [string, string][] {
  const rows = [...globalFlags.values()].map(({ name, help, env }): [string, string] => [
    `--${name} value`,
    `${help} [$${env}]`,
  ]);
  return [...rows, ["-h, --help", "show help"], ["-v, --version", "show the version"]];
}

function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`);
}
