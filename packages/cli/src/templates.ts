/** A project of one service: path → text. */
export type Project = Readonly<Record<string, string>>;

/** What the templates are filled with. */
export interface ProjectNames {
  /** `hello-world`: of the service and its package. */
  readonly name: string;
  /** Version of our own packages. */
  readonly version: string;
}

/** `hello-world` → `HelloWorld`. */
export function groupOf(name: string): string {
  return name
    .split("-")
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join("");
}

/** The files that `micro new service` writes. */
export function serviceProject({ name, version }: ProjectNames): Project {
  const group = groupOf(name);
  return {
    "main.ts": `import { createService, endpoint } from "ts-micro";
import { z } from "zod"; // any Standard Schema library

const service = createService({ name: "${name}" }).handle("${group}", {
  hello: endpoint(
    { request: z.object({ name: z.string() }), response: z.object({ msg: z.string() }) },
    async ({ name }) => ({ msg: \`Hello \${name}\` }),
  ),
  async *count({ to }: { to: number }) {
    for (let n = 1; n <= to; n++) yield { n }; // server stream
  },
});

export type ${group} = typeof service; // clients import the type only: a value import would start the service
await service.run();
`,
    "client.ts": `import { createClient } from "ts-micro";
import type { ${group} } from "./main.js";

const service = createClient().service<${group}>("${name}").${group};
console.log((await service.hello({ name: "Ada" })).msg);
for await (const { n } of service.count({ to: 3 })) console.log(n);
`,
    "package.json": json({
      name,
      version: "0.1.0",
      private: true,
      type: "module",
      main: "main.ts",
      scripts: { start: "micro run main.ts", client: "micro run --no-watch --retries=0 client.ts", check: "tsc" },
      dependencies: { "ts-micro": `^${version}`, zod: "^4.0.0" },
      devDependencies: { "@types/node": ">=20", "ts-micro-cli": `^${version}`, typescript: ">=5.8" },
    }),
    "tsconfig.json": json({
      compilerOptions: {
        target: "ES2023",
        lib: ["ES2023", "ESNext.Disposable"],
        module: "NodeNext",
        types: ["node"],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        verbatimModuleSyntax: true,
        erasableSyntaxOnly: true,
        skipLibCheck: true,
        noEmit: true,
      },
    }),
    ".gitignore": "node_modules\n",
  };
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
