import { createClient } from "ts-micro";
import type { Greeter } from "./greeter.js";

const greet = createClient().service<Greeter>("greeter").Greeter;
console.log((await greet.hello({ name: "Ada" })).msg);
for await (const { n } of greet.count({ to: 3 })) console.log(n);
