import { createClient, createService } from "ts-micro";
import { Greeter } from "./gen/greeter_pb.ts";

const greeter = createService({ name: "proto-greeter", logLevel: "warn" }).implement(Greeter, {
  hello: ({ name }) => ({ msg: `Hello ${name}` }),
  async *count({ to }) {
    for (let n = 1n; n <= to; n++) yield { n };
  },
});
await greeter.start();

// The content type is application/protobuf, since the descriptor is known; Go's clients call the same endpoints in Protobuf or JSON.
const remote = createClient().service("proto-greeter", Greeter);
console.log((await remote.hello({ name: "Ada" })).msg);
for await (const { n } of remote.count({ to: 3n })) console.log(n);
await greeter.stop();
