// A process that lets go of streams without ending them. Its address comes as argument; it has to end by itself.
import { createClient } from "../../src/index.ts";

const address = process.argv[2] as string;
const client = createClient({ env: false });
const sent = client.stream("feed", "Feed.Echo", { address, stream: "bidi" });
await sent.send({});
sent.end();
const numbers = client.stream("feed", "Feed.Count", { address, stream: "server" });
await numbers.send({ to: 3 });
numbers.end();
await numbers[Symbol.asyncIterator]().next();
process.stdout.write("done\n");
