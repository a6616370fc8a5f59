import { defineSuite, type Runner, type Skips } from "./suite.ts";
import { addedPromises } from "./protocol/added.ts";
import { Bench, type ProtocolPair } from "./protocol/bench.ts";
import { streamPromises } from "./protocol/streams.ts";
import { unaryPromises } from "./protocol/unary.ts";

export type { ProtocolPair, ServedNode } from "./protocol/bench.ts";

export interface ProtocolSuiteOptions {
  /** What the suite is called: `mucp over memory`. */
  name: string;
  /** A fresh pair for each promise. */
  setup(): Promise<ProtocolPair> | ProtocolPair;
  /** A content type that both ends have and whose bodies are opaque to them. Default `application/octet-stream`. */
  contentType?: string;
  /** Largest body tried, in bytes. Default 1 MiB. */
  large?: number;
  skip?: Skips<string>;
}

/** The promises of a {@link Protocol}: `defineSuite` with both ends of it. */
export function protocolSuite(t: Runner, options: ProtocolSuiteOptions): void {
  const { contentType = "application/octet-stream", large = 1 << 20 } = options;
  defineSuite(t, {
    name: options.name,
    skip: options.skip,
    setup: async () => Bench.open(await options.setup(), contentType, large),
    teardown: (bench) => bench.close(),
    promises: { ...unaryPromises, ...streamPromises, ...addedPromises },
  });
}
