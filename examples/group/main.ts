import { createGroup, createService } from "ts-micro";

const prices = createService({ name: "prices", logLevel: "warn" }).handle("Prices", {
  of: ({ item }: { item: string }) => ({ price: item.length }),
});
const shop = createService({ name: "shop", logLevel: "warn" }).handle("Shop", {
  async buy({ item, count }: { item: string; count: number }): Promise<{ total: number }> {
    const { price } = await shop.client.service<typeof prices>("prices").Prices.of({ item });
    return { total: price * count };
  },
});

const group = createGroup(prices, shop);
await group.start();
console.log(await shop.client.service<typeof shop>("shop").Shop.buy({ item: "tea", count: 4 }));
await group.stop();
