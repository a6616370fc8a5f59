import { createClient } from "ts-micro";
import { greeterService } from "../protobuf/gen/greeter_micro.ts";

const greeter = greeterService("greeter", createClient());
console.log((await greeter.hello({ name: "Ada" })).msg);
for await (const { n } of greeter.count({ to: 3n })) console.log(n);
