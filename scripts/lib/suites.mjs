// What runs where: everything on the oldest Node that we support, less on the others.

/** Needs other processes, servers or much time, and does not depend on the Node version. */
const once = [
  "interop/**",
  "examples/**",
  "bench/**",
  "packages/*/test/faults/**",
  "packages/*/test/layers.test.ts",
  "packages/*/test/package.test.ts",
  "packages/*/test/types/instantiations.test.ts",
];

/** Named suites: which files vitest looks at, and which it leaves out. */
export const suites = {
  full: { only: [], without: [] },
  short: { only: [], without: once },
  smoke: {
    only: ["wire/", "registry/", "client/", "server/", "protocol/grpc-faults"].map(
      (place) => `packages/ts-micro/test/${place}`,
    ),
    without: [...once, "packages/*/test/registry/mdns*"],
  },
};
