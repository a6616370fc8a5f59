import { readFileSync } from "node:fs";
import { createEcmaScriptPlugin } from "@bufbuild/protoplugin";
import { generateService } from "./service.ts";
import { namesIn } from "./names.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** What protoc-gen-es alone understands: the same options may be given to both plugins. */
const messageOptions = new Set(["erasable_syntax", "json_types", "valid_types"]);

type Plugin = ReturnType<typeof createEcmaScriptPlugin>;

/**
 * The plugin: `<file>_micro.ts` for each file with services. `run(request)` is a whole run of it; a fault of a `.proto` or an unknown option
 * is thrown.
 */
export const micro: Plugin = createEcmaScriptPlugin({
  name: "protoc-gen-micro",
  version: `v${version}`,
  parseOptions(given) {
    for (const { key } of given) {
      if (!messageOptions.has(key)) throw new Error(`unknown option ${JSON.stringify(key)}`);
    }
    return {};
  },
  generateTs(schema) {
    for (const file of schema.files) {
      if (file.services.length === 0) continue;
      const output = schema.generateFile(`${file.name}_micro.ts`);
      output.preamble(file);
      for (const [service, names] of namesIn(file)) generateService(output, service, names);
    }
  },
});
