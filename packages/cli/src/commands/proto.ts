import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { errors } from "ts-micro";
import { type Command, needArgs, UsageError } from "../command.ts";

const choices = { target: /^(?:ts|js|dts)(?:\+(?:ts|js|dts))*$/, import_extension: /^(?:js|ts|none)$/ } as const;

export const proto: Command = {
  name: "proto",
  summary: "Write TypeScript for .proto files: messages, clients and handlers",
  usage: "FILE…",
  examples: ["proto greeter.proto", "proto --proto_path=api --out=gen api/greeter.proto"],
  flags: {
    out: { help: "folder to write into", default: "." },
    proto_path: { help: "folders that files and imports are below, comma separated", default: "." },
    target: { help: "ts, js or dts, or several as js+dts", default: "ts" },
    import_extension: { help: "of relative imports: js, ts or none", default: "js" },
  },
  async run(invocation) {
    needArgs(invocation, "FILE");
    const { args, flags, command, out, signal } = invocation;
    const {
      out: folder = ".",
      proto_path = ".",
      target = "ts",
      import_extension = "js",
    } = flags as Record<string, string>;
    for (const [flag, value] of Object.entries({ target, import_extension })) {
      if (!choices[flag as keyof typeof choices].test(value))
        throw new UsageError(`--${flag} ${value}: ${command.flags?.[flag]?.help}`, command);
    }
    const roots = proto_path.split(",").filter((root) => root !== "");
    const names = args.map((file) => nameOf(file, roots));
    const { generate, ProtoFault } = await import("protoc-gen-micro");
    const written = await generate(names, {
      read(name) {
        const place = placeOf(name, roots);
        return place === undefined ? undefined : readFileSync(place, "utf8");
      },
      parameter: `target=${target},import_extension=${import_extension},erasable_syntax=true`,
      signal,
    }).catch((error: unknown) => {
      if (!(error instanceof ProtoFault)) throw error;
      const { file, line, column } = error.place;
      throw errors.badRequest(
        "ts-micro-cli",
        `${placeOf(file, roots) ?? file}:${line}:${column}: ${error.detail}`,
        error,
      );
    });
    const files = written.map(({ path, text }) => {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    });
    // Not before all are there: whoever reads this may leave after the first.
    for (const file of files) await out.line(file);
  },
};

/** The name that others import a file by: its path below the first folder of the proto path that it is in. */
function nameOf(file: string, roots: readonly string[]): string {
  if (!isFile(file)) throw errors.notFound("ts-micro-cli", `${file}: no such file`);
  for (const root of roots) {
    const below = relative(root, file);
    if (below.split(sep)[0] === ".." || resolve(root, below) !== resolve(file)) continue;
    const name = below.split(sep).join("/");
    const place = placeOf(name, roots);
    if (place === undefined || resolve(place) === resolve(file)) return name;
    throw errors.badRequest(
      "ts-micro-cli",
      `${file} is hidden by ${place}, which has the same name in an earlier folder of --proto_path`,
    );
  }
  throw errors.badRequest(
    "ts-micro-cli",
    `${file} is not below ${roots.join(" or ")}: --proto_path=${dirname(file)} looks there`,
  );
}

function placeOf(name: string, roots: readonly string[]): string | undefined {
  return roots.map((root) => join(root, name)).find(isFile);
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}
