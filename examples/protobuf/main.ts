import { createClient, createService } from "ts-micro";
import { type GreeterHandler, greeterService, registerGreeterHandler } from "./gen/greeter_micro.ts";

const handler: GreeterHandler = {
  hello: ({ name }) => ({ msg: `Hello ${name}` }),
  async *count({ to }) {
    for (let n = 1n; n <= to; n++) yield { n };
  },
};
const service = registerGreeterHandler(createService({ name: "proto-greeter", logLevel: "warn" }), handler);
await service.start();

// The content type is application/protobuf, since the descriptor is known; Go's clients call the same endpoints in Protobuf or JSON.
const greeter = greeterService("proto-greeter", createClient());
console.log((await greeter.hello({ name: "Ada" })).msg);
for await (const { n } of greeter.count({ to: 3n })) console.log(n);
await service.stop();
