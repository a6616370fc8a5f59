import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { run, tools } from "../../../scripts/lib/run.mjs";
import {
  createClient,
  createService,
  type Client,
  type ClientOptions,
  type Service,
} from "../../ts-micro/src/index.ts";
import { memoryRegistry } from "../../ts-micro/src/registry/memory.ts";
import { type MoneySchema, Order } from "./fixtures/gen/acme/common/v1_pb.ts";
import { registerClientHandler, clientService } from "./fixtures/gen/names_micro.ts";
import { registerShopHandler, shopEndpoints, shopService, type ShopHandler } from "./fixtures/gen/shop_micro.ts";
import { Item_Change_Kind, Shop } from "./fixtures/gen/shop_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { built, golden, root, Scratch } from "./world.ts";

type Sum = MessageInitShape<typeof MoneySchema>;

/** A handler as a user writes it: literals at any depth. */
class Shelf implements ShopHandler {
  readonly put: string[] = [];
  readonly #prefix = "item ";

  getItem({ id, shop }: Parameters<ShopHandler["getItem"]>[0]) {
    return {
      id: `${this.#prefix}${id}@${shop ?? "here"}`,
      price: { currency: "EUR", units: 7n },
      changes: { "1": { kind: Item_Change_Kind.MADE, before: { id: "none" } } },
      state: { case: "changed" as const, value: { kind: Item_Change_Kind.MADE } },
      order: Order.ASCENDING,
    };
  }
  async putItem({ id }: Parameters<ShopHandler["putItem"]>[0]) {
    this.put.push(id);
    return {};
  }
  oldGet = this.getItem.bind(this);
  async *watch({ id }: Parameters<ShopHandler["watch"]>[0]) {
    for (const kind of [Item_Change_Kind.MADE, Item_Change_Kind.UNSPECIFIED]) yield { kind, before: { id } };
  }
  async upload(items: Parameters<ShopHandler["upload"]>[0]) {
    let value = 0;
    for await (const { sizes } of items) value += sizes.length;
    return { value };
  }
  async *haggle(sums: Parameters<ShopHandler["haggle"]>[0]) {
    for await (const { units } of sums) yield { currency: "EUR", units: units - 1n };
  }
}

async function* many<T>(...items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function collected<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of from) all.push(each);
  return all;
}

describe("a generated client and a generated handler", () => {
  const registry = memoryRegistry();
  const opened: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]();
  });
  const service = (): Service => {
    const made = createService({
      name: "shop",
      address: "127.0.0.1:0",
      registry,
      broker: "memory",
      env: false,
      settle: 0,
      logLevel: "error",
    });
    opened.push(made);
    return made;
  };
  const client = (options: ClientOptions = {}): Client => {
    const made = createClient({ registry, env: false, ...options });
    opened.push({ [Symbol.asyncDispose]: () => made.close() });
    return made;
  };

  it.each(["application/protobuf", "application/json"])("speak all four kinds in %s", async (contentType) => {
    const shelf = new Shelf();
    await registerShopHandler(service(), shelf).start();
    const shop = shopService("shop", client({ contentType }));
    const item = await shop.getItem({ id: "7", shop: "corner" });
    expect(item).toMatchObject({
      $typeName: "acme.shop.Item",
      id: "item 7@corner",
      price: { currency: "EUR", units: 7n },
      changes: { "1": { kind: Item_Change_Kind.MADE, before: { id: "none" } } },
      state: { case: "changed", value: { kind: Item_Change_Kind.MADE } },
      order: Order.ASCENDING,
    });
    expect(await shop.putItem({ id: "8", price: { units: 1n } })).toEqual({ $typeName: "google.protobuf.Empty" });
    expect(shelf.put).toEqual(["8"]);
    expect(await collected(shop.watch({ id: "9" }))).toMatchObject([
      { kind: Item_Change_Kind.MADE, before: { id: "9" } },
      { kind: Item_Change_Kind.UNSPECIFIED, before: { id: "9" } },
    ]);
    expect((await shop.upload(many({ sizes: [1, 2] }, { sizes: [3] }))).value).toBe(3);
    expect(await collected(shop.haggle(many<Sum>({ units: 5n }, { units: 3n })))).toMatchObject([
      { units: 4n },
      { units: 2n },
    ]);
    await using bids = shop.haggle();
    const replies = bids[Symbol.asyncIterator]();
    await bids.send({ units: 2n });
    expect((await replies.next()).value).toMatchObject({ units: 1n });
    bids.end();
    expect((await replies.next()).done).toBe(true);
  });

  it("put the rules of google.api.http, as Go Micro has them, and the comments into the registry", async () => {
    await registerShopHandler(service(), new Shelf()).start();
    const [record] = await registry.getService("shop");
    const found = new Map(record?.endpoints.map(({ name, metadata }) => [name, metadata]));
    for (const { name, kind, metadata } of shopEndpoints)
      expect(found.get(name)).toMatchObject({ ...metadata, ...(kind === "unary" ? {} : { stream: "true", kind }) });
    expect(found.get("Shop.GetItem")).toMatchObject({
      endpoint: "Shop.GetItem",
      handler: "rpc",
      method: "GET",
      path: "/v1/items/{id},/v1/shop/{shop}/items/{id}",
      description: "Gets an item.",
    });
    expect(found.get("Shop.Upload")).toMatchObject({ description: "Takes many.", example: '{ "id": "7" }' });
    expect(shopEndpoints.filter(({ idempotent }) => idempotent).map(({ method }) => method)).toEqual([
      "getItem",
      "putItem",
    ]);
    expect(shopEndpoints.filter(({ deprecated }) => deprecated).map(({ method }) => method)).toEqual(["oldGet"]);
  });

  it.each([["Shop.GetItem"], ["getItem"]])("let options.metadata of %s stand for that of the file", async (key) => {
    const shop = service();
    expect(registerShopHandler(shop, new Shelf(), { metadata: { [key]: { path: "/own" } } })).toBe(shop);
    await shop.start();
    const [record] = await registry.getService("shop");
    const { metadata } = record?.endpoints.find(({ name }) => name === "Shop.GetItem") ?? {};
    expect(metadata).toMatchObject({ path: "/own" });
    expect(metadata).not.toHaveProperty("method");
    expect(record?.endpoints.find(({ name }) => name === "Shop.PutItem")?.metadata).toHaveProperty("method", "PUT");
  });

  it("are registered at a server too, as in Go", async () => {
    const shop = service();
    expect(registerShopHandler(shop.server, new Shelf())).toHaveProperty("address");
    await shop.start();
    expect((await shopService("shop", client()).getItem({ id: "1" })).id).toBe("item 1@here");
    expect(() => registerShopHandler(shop.server, new Shelf())).toThrow("before start");
  });

  it("work for a service that is called like a parameter", async () => {
    await registerClientHandler(service(), { get: () => ({}) }).start();
    expect(await clientService("shop", client()).get({})).toEqual({ $typeName: "names.S" });
  });

  it("need no plugin where descriptors are enough", async () => {
    await service().implement(Shop, new Shelf()).start();
    const shop = client().service("shop", Shop);
    expect((await shop.getItem({ id: "7" })).price?.units).toBe(7n);
    expect(await collected(shop.haggle(many<Sum>({ units: 5n })))).toMatchObject([{ units: 4n }]);
  });
});

describe("the generated code", () => {
  const project = new Scratch();
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitReturns: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    isolatedDeclarations: true,
    declaration: true,
    noEmit: true,
    skipLibCheck: false,
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
  };
  beforeAll(async () => {
    await built();
    cpSync(golden, `${project.path}/gen`, { recursive: true });
    mkdirSync(`${project.path}/node_modules`);
    for (const name of ["@bufbuild", "@types", "undici-types", "ts-micro"])
      symlinkSync(`${root}node_modules/${name}`, `${project.path}/node_modules/${name}`);
    writeFileSync(`${project.path}/package.json`, '{ "type": "module" }');
    writeFileSync(`${project.path}/tsconfig.json`, JSON.stringify({ compilerOptions: options }));
  }, 120_000);
  afterAll(() => project.remove());

  it.each([
    ["6", tools.tsc],
    ["7", tools.tsc7],
  ])(
    "has no fault under strict flags in TypeScript %s",
    async (_, compiler) => {
      const { code, output } = await run(process.execPath, [compiler, "-p", "."], { cwd: project.path, quiet: true });
      expect([code, output]).toEqual([0, ""]);
    },
    120_000,
  );

  it("types what is sent and handled", async () => {
    writeFileSync(
      `${project.path}/wrong.ts`,
      `import { createClient, createService } from "ts-micro";
import { registerShopHandler, shopService } from "./gen/shop_micro.js";
const shop = shopService("shop", createClient());
await shop.getItem({ id: 7 });
const { nothing } = await shop.getItem({ id: "7" });
registerShopHandler(createService({ name: "shop" }), { getItem: () => ({ id: "7" }) });
`,
    );
    const { output } = await run(process.execPath, [tools.tsc, "-p", "."], { cwd: project.path, quiet: true });
    const lines = output.split("\n").flatMap((line) => /^wrong\.ts\((\d+)/.exec(line)?.[1] ?? []);
    expect([...new Set(lines)]).toEqual(["4", "5", "6"]);
  }, 120_000);
});
