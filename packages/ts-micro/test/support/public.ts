/** What the runtime package offers: its manifest, its public modules, and the makers that its documentation must name. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The repository's root, with a slash at its end. */
export const root: string = fileURLToPath(new URL("../../../../", import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly engines: { readonly node: string };
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | null>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(`${root}${folder}/package.json`, "utf8")) as Manifest;
}

/** Subpath without its dot → path of its module in src and dist, without extension: `registry/etcd`. */
export function publicModules(manifest: Manifest): Map<string, string> {
  return new Map(
    Object.entries(manifest.exports).flatMap(([subpath, target]) => {
      const path = /^\.\/dist\/(.+)\.js$/.exec(target ?? "")?.[1];
      return path === undefined ? [] : [[subpath.replace(/^\.\/?/, ""), path]];
    }),
  );
}

/** The package of an import: `@acme/x/y` → `@acme/x`; undefined for files and Node's own. */
export function packageOf(specifier: string): string | undefined {
  if (/^(\.|node:)/.test(specifier)) return undefined;
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** The exported functions of a driver module that make a component: named after the concern, or returning its contract or a filter. */
export function makersOf(concern: string, text: string): string[] {
  const contract = `${concern.slice(0, 1).toUpperCase()}${concern.slice(1)}`;
  const file = ts.createSourceFile("module.ts", text, ts.ScriptTarget.ESNext, true);
  return file.statements.flatMap((statement) => {
    if (!ts.isFunctionDeclaration(statement) || statement.name === undefined) return [];
    if (!statement.modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword)) return [];
    const name = statement.name.text;
    const made = statement.type?.getText(file) ?? "";
    return name.endsWith(contract) || made === contract || made === "Filter" ? [name] : [];
  });
}

/** The relative targets of the links of a Markdown page, without their anchors. */
export function linksOf(text: string): string[] {
  const prose = text.replaceAll(/```[\s\S]*?```/g, "").replaceAll(/`[^`\n]*`/g, "");
  const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => match[1] ?? []);
  return targets.filter((target) => !/^([a-z]+:|#)/.test(target)).map((target) => target.replace(/#.*$/, ""));
}
