import { expect, test } from "vitest";
import { describeGo, goPeer } from "./peer.ts";
describeGo("x", () => {
  test("a call works", async () => {
    await using server = await goPeer({ version: "v4", serve: true, name: "greeter" });
    await using client = await goPeer({ version: "v5" });
    console.log(JSON.stringify(server.service).slice(0, 600), server.address, server.brokerAddress, await client.build());
    await client.nodes("greeter", [server.service!]);
    console.log(await client.call({ service: "greeter", endpoint: "Greeter.Hello", body: { name: "John" } }));
    console.log(await client.call({ service: "greeter", endpoint: "Greeter.Fail", body: { kind: "notfound", detail: "x" } }));
    console.log(await server.event("invoked"));
    console.log(await client.callMany({ service: "greeter", endpoint: "Greeter.Hello", body: { name: "a{i}" }, expect: { msg: "Hello a{i}" }, n: 500, concurrency: 20 }));
    for (const generated of [true, false]) {
      const s = await client.stream({ service: "greeter", endpoint: "Greeter.Stream", body: { count: 3, delayMs: 20 }, generated });
      console.log(JSON.stringify(await s.recvAll()));
    }
    expect(1).toBe(1);
  });
});
