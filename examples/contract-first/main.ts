import { createClient } from "ts-micro";
import type { Weather } from "./contract.js";
import { weather } from "./service.js";

await weather.start();
// From here on nothing but the contract is used, as in a program of its own.
const remote = createClient().service<{ Weather: Weather }>("weather").Weather;
console.log(await remote.now({ city: "Rome" }));
for await (const { hour, celsius } of remote.forecast({ city: "Rome", hours: 2 })) console.log(hour, celsius);
await weather.stop();
