import type { FieldDescriptorProto, FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { fault, type Place } from "../fault.ts";
import type { Declared, Parsed, Reference } from "./parsed.ts";

type What = Declared["what"] | { readonly kind: "package" };
interface Symbol {
  readonly what: What;
  /** Where it is declared, or first; a package may be in several. */
  readonly file: string;
  readonly files: Set<string>;
}

/** All declarations of a set of files by their full names, and which file sees which. */
export class Symbols {
  readonly #byName = new Map<string, Symbol>();
  readonly #visible = new Map<string, Set<string>>();
  readonly #extensions = new Map<string, FieldDescriptorProto>();

  /** @throws ProtoFault for a name that is taken, or a package that has the name of something else. */
  add({ proto, declared }: Parsed): void {
    for (let at = proto.package; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
      const other = this.#byName.get(at);
      if (other === undefined) this.#set(at, { kind: "package" }, proto);
      else if (other.what.kind === "package") other.files.add(proto.name);
      else throw fault(firstPlace(proto), `package ${at} has the name of ${a(other.what.kind)} in ${other.file}`);
    }
    for (const { name, place, what } of declared) {
      const other = this.#byName.get(name);
      if (other !== undefined)
        throw fault(
          place,
          `${name} is declared already${other.file === proto.name ? "" : `, as ${a(other.what.kind)} in ${other.file}`}`,
        );
      this.#set(name, what, proto);
      if (what.kind === "extension") this.#extensions.set(name, what.proto);
    }
  }

  /** What `file` sees: itself, its imports, and what those import publicly. */
  link(file: FileDescriptorProto, files: ReadonlyMap<string, FileDescriptorProto>): void {
    const visible = new Set([file.name]);
    const add = (name: string): void => {
      if (visible.has(name)) return;
      visible.add(name);
      const imported = files.get(name);
      for (const index of imported?.publicDependency ?? []) add(imported?.dependency[index] ?? "");
    };
    for (const name of [...file.dependency, ...file.optionDependency]) add(name);
    this.#visible.set(file.name, visible);
  }

  get(name: string): What | undefined {
    return this.#byName.get(name)?.what;
  }

  #set(name: string, what: What, { name: file }: FileDescriptorProto): void {
    this.#byName.set(name, { what, file, files: new Set([file]) });
  }

  /**
   * A name from within `scope`: of what `file` sees the innermost declaration wins that its first part names, and that can hold the rest of it.
   * @throws ProtoFault when there is none, or it is not imported
   */
  find(name: string, scope: string, file: string, place: Place): { name: string; what: What } {
    const found = this.#search(name, scope, file) ?? this.#search(name, scope);
    const symbol = this.#byName.get(found ?? "");
    if (found === undefined || symbol === undefined) {
      const meant = found === undefined || found === name ? "" : ` (it would be ${found})`;
      throw fault(place, `${name} is not declared${meant}${this.#like(name)}`);
    }
    if (!this.#sees(file, symbol)) throw fault(place, `${name} is in ${symbol.file}, which is not imported`);
    return { name: found, what: symbol.what };
  }

  /** The extension of `extendee` that a name means from within `scope`. */
  extension(name: string, extendee: string, scope: string, file: string, place: Place): FieldDescriptorProto {
    const found = this.find(name, scope, file, place);
    const proto = this.#extensions.get(found.name);
    if (proto === undefined) throw fault(place, `${name} is ${a(found.what.kind)}, not an extension`);
    if (proto.extendee !== `.${extendee}`)
      throw fault(place, `${name} extends ${proto.extendee.slice(1)}, not ${extendee}`);
    return proto;
  }

  resolve({ name, scope, place, wants, set }: Reference, file: string): void {
    const { name: found, what } = this.find(name, scope, file, place);
    if (what.kind !== "message" && (what.kind !== "enum" || wants === "message"))
      throw fault(place, `${name} is ${a(what.kind)}, not a ${wants === "message" ? "message" : "message or enum"}`);
    set(`.${found}`, what.kind);
  }

  /** Whether it is in the file, or in one that it imports. */
  #sees(file: string, { files }: Symbol): boolean {
    const visible = this.#visible.get(file);
    return visible !== undefined && [...files].some((each) => visible.has(each));
  }

  /** `file`: only in what it sees. */
  #search(name: string, scope: string, file?: string): string | undefined {
    if (name.startsWith(".")) return name.slice(1);
    const [first = "", ...rest] = name.split(".");
    for (let at = scope; ; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
      const prefix = at === "" ? "" : `${at}.`;
      const symbol = this.#byName.get(prefix + first);
      const kind = symbol && (file === undefined || this.#sees(file, symbol)) ? symbol.what.kind : undefined;
      if (rest.length === 0 ? isType(kind) : isAggregate(kind)) return prefix + name;
      if (at === "") return undefined;
    }
  }

  /** What may have been forgotten: an import, or the package before a name. */
  #like(name: string): string {
    if (name === "google.api.http") return '; import "google/api/annotations.proto"';
    const last = name.slice(name.lastIndexOf(".") + 1);
    const found = [...this.#byName.keys()].find((each) => each === last || each.endsWith(`.${last}`));
    return found === undefined ? "" : `; did you mean ${found}?`;
  }
}

function a(kind: What["kind"]): string {
  return `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`;
}

function isType(kind: What["kind"] | undefined): boolean {
  return kind === "message" || kind === "enum" || kind === "extension";
}

function isAggregate(kind: What["kind"] | undefined): boolean {
  return kind === "message" || kind === "enum" || kind === "package" || kind === "service";
}

function firstPlace({ name, sourceCodeInfo }: FileDescriptorProto): Place {
  const span = sourceCodeInfo?.location.find(({ path }) => path.length === 1 && path[0] === 2)?.span;
  return { file: name, line: (span?.[0] ?? 0) + 1, column: (span?.[1] ?? 0) + 1 };
}
