import { test } from "vitest";
import { describeInNamespace, namespaced } from "../../../../../interop/netns.ts";

/** A suite in a network namespace of its own. Where none is to be had: a loud skip, or with TS_MICRO_REQUIRE_SERVERS=1 a failure. */
export function describeMulticast(file: string, name: string, body: () => void): void {
  if (process.env["TS_MICRO_REQUIRE_SERVERS"] === "1" && namespaced("true", []) === undefined)
    // oxlint-disable-next-line vitest/expect-expect -- it fails
    test(`${name}, in a network namespace of its own`, () => {
      throw new Error("no network namespace to be had: root (or user namespaces) and iproute2");
    });
  else describeInNamespace(file, name, body, { builds: [] });
}
