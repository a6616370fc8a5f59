import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { faultsIn, languageService } from "./program.ts";

const path = (name: string): string => fileURLToPath(new URL(`definitions/${name}.ts`, import.meta.url));
const [greeter, client] = [path("greeter"), path("client")];

/** The place right inside of `text` in a file, `skip` characters after its beginning. */
function placeOf(file: string, text: string, skip: number): number {
  const at = readFileSync(file, "utf8").indexOf(text);
  if (at < 0) throw new Error(`${text} is not in ${file}`);
  return at + skip;
}

describe("an editor, without any generated code", () => {
  let service: ts.LanguageService;
  beforeAll(() => {
    service = languageService([greeter, client]);
  });

  it("finds no fault in the service and its client", () => {
    const program = service.getProgram();
    expect(program && faultsIn(program, [greeter, client])).toEqual([]);
  }, 60_000);

  it.each([
    ["an endpoint", "Greeter.hello(", "hello: endpoint("],
    ["a generator", "Greeter.count(", "count({ to }"],
    ["a class method", "service.Admin.reset(", "reset(request"],
    ["a class method by contract", "contract.Admin.reset(", "reset(request"],
  ])("goes from a call of %s to its handler", (_, call, handler) => {
    const at = placeOf(client, call, call.length - 2);
    const found = service.getDefinitionAtPosition(client, at) ?? [];
    expect(found.map(({ fileName, textSpan }) => [basename(fileName), textSpan.start])).toEqual([
      ["greeter.ts", placeOf(greeter, handler, 0)],
    ]);
  });

  it.each([
    ["an endpoint", "hello: endpoint(", "Greeter.hello("],
    ["a generator", "count({ to }", "Greeter.count("],
    ["a class method", "reset(request", "service.Admin.reset("],
  ])("renames %s in the handler and in its callers at once", (_, handler, call) => {
    const from = placeOf(greeter, handler, 1);
    const found = service.findRenameLocations(greeter, from, false, false, {}) ?? [];
    const name = /^\w+/.exec(handler)?.[0] ?? "";
    const places = found.map(({ fileName, textSpan }) => [basename(fileName), textSpan.start]);
    expect(places).toContainEqual(["greeter.ts", placeOf(greeter, handler, 0)]);
    expect(places).toContainEqual(["client.ts", placeOf(client, call, call.length - 1 - name.length)]);
  });

  it("shows a call's request, reply and comment", () => {
    const info = service.getQuickInfoAtPosition(client, placeOf(client, "Greeter.hello(", 10));
    const shown = ts.displayPartsToString(info?.displayParts).replaceAll(/\s+/g, " ");
    expect(shown).toContain("hello: (request: { name: string; }, options?: CallOptions");
    expect(shown).toContain("Promise<{ msg: string; }>");
    expect(ts.displayPartsToString(info?.documentation)).toBe("Says hello.");
  });
});
