import { z } from "zod";
import { createService, endpoint } from "../../src/index.ts";

export const greeter = createService({ name: "greeter", env: false }).handle("Greeter", {
  /** Says hello. */
  hello: endpoint(
    {
      request: z.object({ name: z.string(), loud: z.boolean().default(false) }),
      response: z.object({ msg: z.string() }),
    },
    async ({ name, loud }) => ({
      msg: loud ? name.toUpperCase() : name,
    }),
  ),
  async *count({ to }: { to: number }) {
    for (let n = 1; n <= to; n++) yield { n };
  },
  sum: endpoint({ stream: "client", request: z.object({ n: z.number() }) }, async (numbers, ctx) => {
    let total = 0;
    for await (const { n } of numbers) total += n;
    return { total, service: ctx.service };
  }),
  chat: endpoint({ stream: "bidi", request: z.object({ text: z.string() }) }, async function* (messages) {
    for await (const { text } of messages) yield { text: `re: ${text}` };
  }),
  plain: (request: { a: number }, ctx) => ({ b: request.a, left: ctx.remaining() }),
  nothing: () => ({ ok: true }),
  limit: 3,
});

export class Admin {
  private secret = 1;
  #hidden = 2;
  reset({ all }: { all: boolean }): { done: boolean; sum: number } {
    return { done: all, sum: this.secret + this.#hidden };
  }
  get size(): number {
    return 1;
  }
}

export const admin = createService({ name: "admin", env: false }).handle("Admin", new Admin());
