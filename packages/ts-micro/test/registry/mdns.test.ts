import { describe, it } from "vitest";
import { mdnsRegistry } from "../../src/registry/mdns.ts";
import { registryConformance } from "../../src/testing/registry.ts";
import { describeMulticast } from "./mdns/namespace.ts";

describeMulticast(import.meta.url, "the mdns registry", () => {
  registryConformance({ describe, it }, { create: (domain) => mdnsRegistry({ domain }), serviceMetadata: false });
});
