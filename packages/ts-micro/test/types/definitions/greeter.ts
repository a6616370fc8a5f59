import { createService, endpoint } from "ts-micro";
import { z } from "zod";

export class Admin {
  async reset(request: { hard: boolean }): Promise<{ hard: boolean }> {
    return request;
  }
}

export const greeter = createService({ name: "greeter", env: false })
  .handle("Greeter", {
    /** Says hello. */
    hello: endpoint(
      { request: z.object({ name: z.string() }), response: z.object({ msg: z.string() }) },
      async ({ name }) => ({ msg: `Hello ${name}` }),
    ),
    async *count({ to }: { to: number }) {
      for (let n = 1; n <= to; n++) yield { n };
    },
  })
  .handle("Admin", new Admin());
