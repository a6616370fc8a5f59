// A process whose first call of a typed client is a stream of a service that is not there: unread, let go of, or read. It has to end by itself.
import { createClient, isMicroError } from "../../src/index.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";

const client = createClient({ env: false, registry: memoryRegistry() });
const feed = client.service<{ Feed: { list: () => AsyncGenerator<{ n: number }> } }>("none").Feed;
void feed.list({});
{
  await using _kept = feed.list({});
  // What else the block does takes longer than the look-up.
  await client.call("none", "Feed.List", {}).catch(() => {});
}
try {
  for await (const _ of feed.list({}));
} catch (error) {
  process.stdout.write(`read: ${isMicroError(error) ? error.code : String(error)}\n`);
}
