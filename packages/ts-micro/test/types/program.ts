/** Programs against the sources of ts-micro, as a user's compiler sees them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The repository's root, with a slash at its end. */
export const root: string = fileURLToPath(new URL("../../../../", import.meta.url));

/** A strict user's options, with `ts-micro` from its sources. */
export function optionsOf(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    typeRoots: [`${root}node_modules/@types`],
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    paths: {
      "ts-micro": [`${root}packages/ts-micro/src/index.ts`],
      "ts-micro/*": [`${root}packages/ts-micro/src/*.ts`],
      zod: [`${root}node_modules/zod/index.d.ts`],
    },
    ...extra,
  };
}

export function compilerOptions(extra?: Readonly<Record<string, unknown>>): ts.CompilerOptions {
  const { options, errors } = ts.convertCompilerOptionsFromJson(optionsOf(extra), root);
  if (errors.length > 0) throw new Error(ts.formatDiagnostics(errors, formatHost));
  return options;
}

/** The faults in these files alone: `file:line message`. What they import is not checked, only read. */
export function faultsIn(program: ts.Program, files: readonly string[]): string[] {
  return files.flatMap((file) => {
    const source = program.getSourceFile(file);
    if (source === undefined) return [`${file}: is not part of the program`];
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(({ start = 0, messageText }) => {
      const line = source.getLineAndCharacterOfPosition(start).line + 1;
      return `${file.replace(root, "")}:${line} ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
    });
  });
}

/** An editor's view of these files. */
export function languageService(files: readonly string[]): ts.LanguageService {
  const options = compilerOptions();
  return ts.createLanguageService({
    ...ts.sys,
    useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
    getScriptFileNames: () => [...files],
    getScriptVersion: () => "1",
    getScriptSnapshot: (file) =>
      ts.sys.fileExists(file) ? ts.ScriptSnapshot.fromString(readFileSync(file, "utf8")) : undefined,
    getCurrentDirectory: () => root,
    getCompilationSettings: () => options,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
  });
}

const formatHost: ts.FormatDiagnosticsHost = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => root,
  getNewLine: () => "\n",
};
