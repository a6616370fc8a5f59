/** Reads pages into their fenced blocks, with what the info line of each says is to be done with it. */
import { readFileSync, readdirSync } from "node:fs";
import { root } from "../support/public.ts";

/**
 * What happens to a block: `check`: type-checked; `run`: also run, and the `text output` after it is what it prints; `sh`: run; `service`: run in the
 * background until the page ends; `output`: what the block before it prints; `data`: parsed; `prose`: nothing; `none`: nothing, for a reason.
 */
export type Way = "check" | "run" | "sh" | "service" | "output" | "data" | "prose" | "none";

export interface Block {
  readonly page: string;
  /** Of its first line of text. */
  readonly line: number;
  readonly language: string;
  readonly way: Way;
  /** Why it is not executed. */
  readonly reason: string;
  readonly text: string;
  /** It goes on where the block before it ended: `ts more`. */
  readonly more: boolean;
  /** The file that it shows, from its first line: `// greeter.ts`, `// greeter.proto`, `# buf.gen.yaml`. */
  readonly file: string | undefined;
}

/** Info line → what to do. An unknown one is an error, so that no block is left out by a misprint. */
export function wayOf(info: string): { language: string; way: Way; reason: string; more: boolean } {
  const [, language = "", rest = ""] = /^(\S*)\s*(.*)$/.exec(info.trim()) ?? [];
  const said = { language, reason: "", more: false };
  const skipped = /^(?:no-run|no-check):\s*(\S.*)$/.exec(rest);
  if (skipped && /^(?:ts|sh)$/.test(language)) return { ...said, way: "none", reason: skipped[1] as string };
  const ways: Readonly<Record<string, Way>> = {
    ts: "check",
    "ts run": "run",
    "ts more": "check",
    "ts more run": "run",
    sh: "sh",
    "sh service": "service",
    "text output": "output",
    text: "prose",
    json: "data",
    proto: "prose",
    yaml: "prose",
    go: "prose",
  };
  const way = ways[`${language} ${rest}`.trim()];
  if (way === undefined)
    throw new Error(`a block says "${info}": one of ${Object.keys(ways).join(", ")}, or ts/sh with "no-run: reason"`);
  return { ...said, way, more: /\bmore\b/.test(rest) };
}

export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const open = /^(\s*)(`{3,})(.*)$/.exec(lines[at] as string);
    if (open === null) continue;
    const [, indent = "", fence = "", info = ""] = open;
    const from = at + 1;
    for (at = from; at < lines.length && lines[at]?.trim() !== fence; at++);
    if (at >= lines.length) throw new Error(`${page}:${from}: a block without an end`);
    const inside = lines.slice(from, at).map((line) => line.slice(indent.length));
    const file = /^(?:\/\/|#) (\S+\.(?:ts|proto|yaml))\b/.exec(inside[0] ?? "")?.[1];
    blocks.push({ page, line: from + 1, ...wayOf(info), text: `${inside.join("\n")}\n`, file });
  }
  return blocks;
}

/** The pages that people read. */
export function pages(): string[] {
  const docs = readdirSync(`${root}docs`, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".md"));
  const packages = ["ts-micro", "cli", "protoc-gen-micro"].map((name) => `packages/${name}/README.md`);
  return [
    "README.md",
    ...packages,
    "examples/README.md",
    "interop/README.md",
    ...docs.toSorted().map((file) => `docs/${file}`),
  ];
}

export const readPage = (page: string): Block[] => blocksOf(page, readFileSync(`${root}${page}`, "utf8"));
