import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponseSchema,
  type CodeGeneratorRequest,
} from "@bufbuild/protobuf/wkt";
import { compile } from "./compile.ts";
import { wellKnown } from "./known.ts";
import { micro } from "./plugin.ts";

/** What {@link generate} takes. */
export interface GenerateOptions {
  /** The text of a file by the name that imports it; undefined when there is none. */
  readonly read: (name: string) => string | undefined;
  /** Options of the plugins: `target=ts,import_extension=js`. */
  readonly parameter: string;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** A generated file: its path below the output folder, and its text. */
export interface Generated {
  readonly path: string;
  readonly text: string;
}

/**
 * The code of `.proto` files and of all that they import: messages by protoc-gen-es, services by this package. What protobuf-es brings itself
 * (google/protobuf) is imported from there. Rejects with ProtoFault for a fault of a file, and with the words of a plugin.
 */
export async function generate(files: readonly string[], options: GenerateOptions): Promise<Generated[]> {
  const protoFile = compile(files, options.read);
  const own = protoFile.map(({ name }) => name).filter((name) => files.includes(name) || !wellKnown.has(name));
  const request = create(CodeGeneratorRequestSchema, {
    fileToGenerate: own,
    parameter: options.parameter,
    protoFile,
    sourceFileDescriptors: protoFile.filter(({ name }) => own.includes(name)),
  });
  const micros = micro.run(request);
  const messages = await messageCode(request, options.signal);
  return [...messages, ...micros.file].map(({ name, content }) => ({ path: name, text: content }));
}

/** protoc-gen-es is run as protoc runs it: its modules are its own. */
async function messageCode(
  request: CodeGeneratorRequest,
  signal: AbortSignal | undefined,
): Promise<{ name: string; content: string }[]> {
  const manifest = createRequire(import.meta.url).resolve("@bufbuild/protoc-gen-es/package.json");
  const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: Record<string, string> };
  const script = join(dirname(manifest), bin["protoc-gen-es"] as string);
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [script],
      { encoding: "buffer", maxBuffer: 256 * 1024 * 1024, ...(signal === undefined ? {} : { signal }) },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(stderr.toString("utf8").trim() || error.message));
      },
    );
    // A plugin that ends early says why on standard error.
    child.stdin?.on("error", () => {});
    child.stdin?.end(toBinary(CodeGeneratorRequestSchema, request));
  });
  const response = fromBinary(CodeGeneratorResponseSchema, bytes);
  if (response.error !== "") throw new Error(response.error);
  return response.file;
}
