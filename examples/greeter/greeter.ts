import { createService, endpoint } from "ts-micro";
import { z } from "zod"; // any Standard Schema library

const greeter = createService({ name: "greeter" }).handle("Greeter", {
  hello: endpoint(
    { request: z.object({ name: z.string() }), response: z.object({ msg: z.string() }) },
    async ({ name }) => ({ msg: `Hello ${name}` }),
  ),
  async *count({ to }: { to: number }) {
    for (let n = 1; n <= to; n++) yield { n }; // server stream
  },
});
export type Greeter = typeof greeter; // clients import the type only: a value import would start the server
await greeter.run();
