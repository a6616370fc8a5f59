import { defineConfig } from "vitest/config";
import { fileURLToPath } from "node:url";

const src = fileURLToPath(new URL("./packages/ts-micro/src/", import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^ts-micro$/, replacement: `${src}index.ts` },
      { find: /^ts-micro\/(.*)$/, replacement: `${src}$1.ts` },
    ],
  },
  test: {
    include: ["packages/*/test/**/*.test.ts", "interop/**/*.test.ts", "bench/*.test.ts", "examples/**/*.test.ts"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
});
