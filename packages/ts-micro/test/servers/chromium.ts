import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type BrowserContext } from "playwright-core";
import { describe } from "vitest";
import { hasCommand } from "./build.ts";

/** Another one than Debian's. */
const chosen = process.env["TS_MICRO_TEST_CHROMIUM"];
const available = (): boolean => chosen !== undefined || hasCommand("chromium");
const required = process.env["TS_MICRO_REQUIRE_SERVERS"] === "1";
const install = fileURLToPath(new URL("../../../../scripts/install-test-servers.sh", import.meta.url));

/** A browser with a profile of its own. */
export interface Chromium extends AsyncDisposable {
  readonly context: BrowserContext;
}

/** `describe` for tests in a real browser. Without Debian's chromium: skipped loudly; TS_MICRO_REQUIRE_SERVERS=1: it is installed, or the tests fail. */
export function describeChromium(name: string, body: () => void): void {
  const skip = !available() && !required;
  if (skip) console.warn(`SKIPPED, no chromium on the path: ${name}`);
  // oxlint-disable-next-line vitest/valid-title, vitest/valid-describe-callback -- the caller gives them
  describe(name, { skip }, body);
}

export async function startChromium(): Promise<Chromium> {
  // The script waits for one that is installing already.
  if (!available()) spawnSync("bash", [install, "chromium"], { stdio: "inherit" });
  const profile = mkdtempSync(join(tmpdir(), "ts-micro-chromium-"));
  const discard = (): void => rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  const context = await chromium
    .launchPersistentContext(profile, {
      executablePath: chosen ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
      ],
    })
    .catch((error: unknown) => {
      discard();
      throw error;
    });
  return {
    context,
    async [Symbol.asyncDispose]() {
      await context.close();
      discard();
    },
  };
}
