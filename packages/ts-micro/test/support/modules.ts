/** Reads TypeScript sources into what the layout rules look at: who imports whom, how, and what must not be written. */
import { readFileSync, readdirSync } from "node:fs";
import { posix } from "node:path";
import ts from "typescript";

/** `static` and `dynamic` load the module at run time, `type` never does. */
export type ImportKind = "static" | "dynamic" | "type";

export interface Import {
  readonly specifier: string;
  readonly kind: ImportKind;
  /** The file it names, relative to the sources' root; undefined for packages and `node:` modules. */
  readonly target: string | undefined;
  readonly line: number;
}

export interface Module {
  /** Relative to the sources' root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** What the rules forbid, as `line: what`. */
  readonly written: Readonly<Record<"any" | "exit" | "default", readonly string[]>>;
}

/** Path → text. */
export type Sources = ReadonlyMap<string, string>;

/** All `.ts` files below a folder. */
export function readSources(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const paths = entries.filter((path) => path.endsWith(".ts")).toSorted();
  return new Map(paths.map((path) => [path, readFileSync(`${folder}/${path}`, "utf8")]));
}

export function parseModules(sources: Sources): Map<string, Module> {
  return new Map([...sources].map(([path, text]) => [path, parseModule(path, text)]));
}

function parseModule(path: string, text: string): Module {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const imports: Import[] = [];
  const written = { any: [] as string[], exit: [] as string[], default: [] as string[] };
  const lineOf = (node: ts.Node): number => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const note = (kind: keyof typeof written, node: ts.Node): void => {
    written[kind].push(`${lineOf(node)}: ${node.getText(file).slice(0, 60)}`);
  };
  const add = (node: ts.Node, specifier: ts.Node | undefined, kind: ImportKind): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const target = specifier.text.startsWith(".") ? posix.join(posix.dirname(path), specifier.text) : undefined;
    imports.push({ specifier: specifier.text, kind, target, line: lineOf(node) });
  };

  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const typeOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
      add(node, node.moduleSpecifier, typeOnly ? "type" : "static");
      if (/^(node:)?process$/.test(specifierOf(node)) && /\bexit\b/.test(node.importClause?.getText(file) ?? ""))
        note("exit", node);
    } else if (ts.isExportDeclaration(node)) {
      add(node, node.moduleSpecifier, node.isTypeOnly ? "type" : "static");
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], "dynamic");
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node, node.argument.literal, "type");
    } else if (node.kind === ts.SyntaxKind.AnyKeyword) {
      note("any", node.parent);
    } else if (isExit(node)) {
      note("exit", node);
    } else if (ts.isExportAssignment(node) || (node.kind === ts.SyntaxKind.DefaultKeyword && isModifier(node))) {
      note("default", ts.isExportAssignment(node) ? node : node.parent);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { path, text, lines: lineCount(text), imports, written };
}

const lineCount = (text: string): number => text.split("\n").length - (text.endsWith("\n") ? 1 : 0);

const specifierOf = (node: ts.ImportDeclaration): string =>
  ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : "";

/** `default` as in `export default function`, not as in `switch`. */
const isModifier = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node.parent) && (ts.getModifiers(node.parent) ?? []).some((modifier) => modifier === node);

const exits = new Set(["exit", "abort", "reallyExit"]);

function isExit(node: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(node)) return isProcess(node.expression) && exits.has(node.name.text);
  return (
    ts.isElementAccessExpression(node) &&
    isProcess(node.expression) &&
    ts.isStringLiteralLike(node.argumentExpression) &&
    exits.has(node.argumentExpression.text)
  );
}

const isProcess = (node: ts.Node): boolean => ts.isIdentifier(node) && node.text === "process";
