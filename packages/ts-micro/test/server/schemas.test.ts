import { type } from "arktype";
import * as v from "valibot";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { endpoint, type StandardSchemaV1 } from "../../src/index.ts";
import { valuesOf } from "../../src/server/values.ts";
import { endpointsOf, endpointsOfDescriptor } from "../../src/server/reflect.ts";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";
import { Greeter } from "../../../../interop/proto/gen/greeter_pb.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

const person = {
  zod: z.object({ name: z.string(), age: z.number() }),
  valibot: v.object({ name: v.string(), age: v.number() }),
  arktype: type({ name: "string", age: "number" }),
};

describe.each(Object.entries(person))(
  "a request schema of %s",
  (_, schema: StandardSchemaV1<{ name: string; age: number }>) => {
    it("lets a fitting request through and refuses others with the path of the fault", async () => {
      const service = mesh
        .service("people")
        .handle("People", { add: endpoint({ request: schema }, ({ name, age }) => ({ name, age })) });
      await service.start();
      const client = mesh.client();
      expect(await client.call("people", "People.Add", { name: "Ada", age: 36 })).toEqual({ name: "Ada", age: 36 });
      await expect(client.call("people", "People.Add", { name: "Ada", age: "36" })).rejects.toMatchObject({
        code: "BAD_REQUEST",
        detail: expect.stringContaining("age") as string,
      });
      await expect(client.call("people", "People.Add", [])).rejects.toMatchObject({ code: "BAD_REQUEST" });
      await expect(client.call("people", "People.Add", null)).rejects.toMatchObject({ code: "BAD_REQUEST" });
    });
  },
);

describe("schemas", () => {
  it("may hold themselves", () => {
    type Nested = readonly Nested[];
    const nested: z.ZodType<Nested> = z.array(z.lazy(() => nested));
    const [routed] = endpointsOf("S", { list: endpoint({ request: z.object({ nested }) }, () => ({})) });
    expect(routed && valuesOf(routed).request.values).toEqual([{ name: "nested", type: "[][][][]any", values: [] }]);
  });

  it("may be asynchronous, and one that throws is contained", async () => {
    const slow = z.object({ id: z.string().refine(async (id) => (await Promise.resolve(), id !== "taken")) });
    const broken: StandardSchemaV1 = {
      "~standard": {
        version: 1,
        vendor: "x",
        validate: () => {
          throw new Error("the schema broke");
        },
      },
    };
    const service = mesh.service("s").handle("S", {
      slow: endpoint({ request: slow }, ({ id }) => ({ id })),
      broken: endpoint({ request: broken }, () => ({})),
    });
    await service.start();
    const client = mesh.client();
    expect(await client.call("s", "S.Slow", { id: "free" })).toEqual({ id: "free" });
    await expect(client.call("s", "S.Slow", { id: "taken" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    await expect(client.call("s", "S.Broken", {})).rejects.toMatchObject({
      code: "INTERNAL",
      detail: "the schema broke",
    });
  });

  it("tell at most eight faults of one request", async () => {
    const wide = z.object(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, z.string()])));
    const service = mesh.service("s").handle("S", { wide: endpoint({ request: wide }, () => ({})) });
    await service.start();
    await expect(mesh.client().call("s", "S.Wide", {})).rejects.toThrow("and 32 more");
  });
});

describe("registry values", () => {
  const one = (definition: Parameters<typeof endpoint>[0]) =>
    valuesOf(endpointsOf("G", { hello: endpoint(definition, () => ({})) })[0] as never);

  it("come from JSON Schema, to depth 3, with Go's type names", () => {
    const inner = z.object({ street: z.string(), deep: z.object({ deeper: z.object({ deepest: z.string() }) }) });
    const request = z.object({
      name: z.string(),
      age: z.number(),
      count: z.int(),
      ok: z.boolean(),
      tags: z.array(z.string()),
      inner,
      list: z.array(inner),
      maybe: z.string().nullable(),
    });
    const { request: value } = one({ request });
    expect(value).toMatchObject({ name: "HelloRequest", type: "HelloRequest" });
    const types = Object.fromEntries(value.values.map((each) => [each.name, each.type]));
    expect(types).toEqual({
      name: "string",
      age: "float64",
      count: "int64",
      ok: "bool",
      tags: "[]string",
      inner: "Inner",
      list: "[]List",
      maybe: "string",
    });
    const deep = value.values.find((each) => each.name === "inner")?.values.find((each) => each.name === "deep");
    expect(deep?.values).toEqual([{ name: "deeper", type: "Deeper", values: [] }]);
  });

  it("are `any` without a schema, and for one that has no JSON form", () => {
    expect(one({}).request).toEqual({ name: "HelloRequest", type: "any", values: [] });
    expect(one({ request: z.object({ f: z.instanceof(Date) }) }).request.type).toBe("any");
  });

  it("of a schema that contains itself are finite", () => {
    const node: z.ZodType = z.object({
      get next() {
        return node.optional();
      },
    });
    expect(JSON.stringify(one({ request: node })).length).toBeLessThan(2000);
  });

  it("of a protobuf service are what Go writes for it", () => {
    const endpoints = endpointsOfDescriptor(Greeter, { hello: () => ({}), big: () => ({}), kinds: () => ({}) });
    const big = valuesOf(endpoints.find(({ name }) => name === "Greeter.Big") as never).request;
    expect(big).toEqual({
      name: "BigMessage",
      type: "BigMessage",
      values: [
        { name: "data", type: "[]uint8", values: [] },
        { name: "want", type: "int64", values: [] },
      ],
    });
    const kinds = valuesOf(endpoints.find(({ name }) => name === "Greeter.Kinds") as never).request;
    expect(Object.fromEntries(kinds.values.map(({ name, type: goType }) => [name, goType]))).toMatchObject({
      first_name: "string",
      big_unsigned: "uint64",
      ratio: "float64",
      colour: "Colour",
      inner_list: "[]Inner",
      counts_by_key: "",
    });
  });
});

describe("what is no Standard Schema", () => {
  const old = { parse: (value: unknown) => value } as unknown as StandardSchemaV1;

  it("is BAD_REQUEST where it is declared: it would let everything pass", async () => {
    const refusal = expect.objectContaining({
      code: "BAD_REQUEST",
      detail: expect.stringContaining("no Standard Schema"),
    });
    const handled = mesh.service("a");
    for (const definition of [{ request: old }, { response: old }])
      expect(() => handled.handle("A", { hello: endpoint(definition, () => ({})) })).toThrow(refusal);
    const subscribed = mesh.service("b").subscribe("news", () => {}, { schema: old });
    await expect(subscribed.start()).rejects.toThrow(refusal);
  });
});

it("a subscriber's message has the type of its schema's output", async () => {
  const seen: string[] = [];
  const service = mesh.service("news").subscribe("news", ({ title }) => void seen.push(title.toUpperCase()), {
    schema: z.object({ title: z.string().trim() }),
  });
  await service.start();
  await service.publish("news", { title: " one " });
  await service.publish("news", { title: 2 });
  await mesh.advance(1);
  expect(seen).toEqual(["ONE"]);
});

it("`only` names the methods of a descriptor that are implemented", () => {
  const impl = { hello: () => ({ msg: "" }), count: () => ({}) };
  const names = endpointsOfDescriptor(Greeter, impl, { only: ["hello"] }).map(({ name }) => name);
  expect(names).toEqual(["Greeter.Hello"]);
  expect(() => endpointsOfDescriptor(Greeter, impl, { only: ["hello", "nope"] })).toThrow("Greeter: no method nope");
});
