import { type } from "arktype";
import { createClient, createService, endpoint } from "ts-micro";
import * as v from "valibot";
import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";

const service = createService({ name: "schemas", env: false }).handle("Schemas", {
  zod: endpoint(
    { request: z.object({ every: z.number().default(5) }), response: z.object({ at: z.string().transform(Number) }) },
    ({ every }) => {
      expectTypeOf(every).toEqualTypeOf<number>();
      return { at: String(every) };
    },
  ),
  valibot: endpoint(
    { request: v.object({ every: v.optional(v.number(), 5) }), response: v.object({ at: v.number() }) },
    ({ every }) => {
      expectTypeOf(every).toEqualTypeOf<number>();
      return { at: every };
    },
  ),
  arktype: endpoint({ request: type({ every: "number = 5" }), response: type({ at: "number" }) }, ({ every }) => {
    expectTypeOf(every).toEqualTypeOf<number>();
    return { at: every };
  }),
});
const client = createClient({ env: false }).service<typeof service>("schemas").Schemas;

describe("a schema of any library", () => {
  it("takes its input from the caller, where a default is optional, and gives the handler its output", () => {
    expectTypeOf(client.zod).toBeCallableWith({});
    expectTypeOf(client.valibot).toBeCallableWith({ every: 1 });
    expectTypeOf(client.arktype).toBeCallableWith({});
  });

  it("gives the caller the output of the response", () => {
    expectTypeOf(client.zod({})).resolves.toEqualTypeOf<{ at: number }>();
    expectTypeOf(client.valibot({})).resolves.toEqualTypeOf<{ at: number }>();
    expectTypeOf(client.arktype({})).resolves.toEqualTypeOf<{ at: number }>();
  });

  it("refuses what it does not describe", () => {
    // @ts-expect-error a number is wanted
    void client.zod({ every: "1" });
    // @ts-expect-error a number is wanted
    void client.valibot({ every: "1" });
    // @ts-expect-error a number is wanted
    void client.arktype({ every: "1" });
  });
});
