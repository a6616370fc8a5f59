import { assertType, describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import {
  createClient,
  createService,
  endpoint,
  type CallOptions,
  type Context,
  type Duplex,
  type Stream,
} from "../../src/index.ts";
import type { Admin, admin, greeter } from "./greeter.ts";

const client = createClient({ env: false });
const greet = client.service<typeof greeter>("greeter").Greeter;

describe("a typed client", () => {
  it("sends the schema's input and gets its output", () => {
    expectTypeOf(greet.hello).toEqualTypeOf<
      (request: { name: string; loud?: boolean | undefined }, options?: CallOptions) => Promise<{ msg: string }>
    >();
    // @ts-expect-error a wrong field
    void greet.hello({ nam: "x" });
    // @ts-expect-error a wrong type
    void greet.hello({ name: 1 });
    // @ts-expect-error a request is needed
    void greet.hello();
  });

  it("knows the stream kinds", () => {
    expectTypeOf(greet.count({ to: 1 })).toEqualTypeOf<Stream<{ n: number }>>();
    expectTypeOf(greet.chat()).toEqualTypeOf<Duplex<{ text: string }, { text: string }>>();
    expectTypeOf(greet.sum).returns.toEqualTypeOf<Promise<{ total: number; service: string }>>();
    // @ts-expect-error arrays are no stream source
    void greet.sum([{ n: 1 }]);
  });

  it("types un-annotated contexts and requestless handlers", () => {
    expectTypeOf(greet.plain({ a: 1 })).toEqualTypeOf<Promise<{ b: number; left: number }>>();
    expectTypeOf(greet.nothing()).toEqualTypeOf<Promise<{ ok: boolean }>>();
  });

  it("refuses wrong names", () => {
    // @ts-expect-error the service is called greeter
    client.service<typeof greeter>("greter");
    // @ts-expect-error no such method
    void greet.helo;
    // @ts-expect-error no such group
    void client.service<typeof greeter>("greeter").Greter;
    // @ts-expect-error data is not callable
    void greet.limit;
  });

  it("sees the public methods of a class and nothing else", () => {
    const remote = client.service<typeof admin>("admin").Admin;
    expectTypeOf(remote.reset({ all: true })).toEqualTypeOf<Promise<{ done: boolean; sum: number }>>();
    // @ts-expect-error private
    void remote.secret;
    // @ts-expect-error an accessor
    void remote.size;
  });

  it("works from a contract alone", () => {
    const remote = client.service<{ Admin: Admin }>("anything");
    expectTypeOf(remote.Admin.reset({ all: true })).toEqualTypeOf<Promise<{ done: boolean; sum: number }>>();
  });
});

describe("a service", () => {
  it("refuses a reply that does not fit its schema, naming what is missing", () => {
    // @ts-expect-error Property 'msg' is missing
    endpoint({ response: z.object({ msg: z.string() }) }, () => ({}));
  });

  it("refuses members that are neither handlers nor data", () => {
    // @ts-expect-error a handler takes a request and a context
    createService({ name: "x", env: false }).handle("G", { bad: (_a: string, _b: Context, _c: number) => 1 });
  });

  it("passes a context on as call options", () => {
    const pass = (ctx: Context): CallOptions => ctx;
    assertType<(ctx: Context) => CallOptions>(pass);
    void ((ctx: Context) => greet.hello({ name: "x" }, { ...ctx, timeout: "1s" }));
  });
});
