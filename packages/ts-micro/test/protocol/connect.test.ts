import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectProtocol } from "../../src/protocol/connect.ts";
import { webWorld, type WebWorld } from "./web-world.ts";

let world: WebWorld;
beforeAll(async () => {
  world = await webWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const json = { "content-type": "application/json" };

async function post(path: string, body: string, headers: Record<string, string> = json): Promise<[number, unknown]> {
  const answer = await fetch(`${world.url}${path}`, { method: "POST", body, headers });
  const text = await answer.text();
  return [answer.status, text === "" ? "" : JSON.parse(text)];
}

it("answers JSON", async () => {
  expect(await post("/greeter.Greeter/Hello", '{"name":"Ada"}')).toEqual([200, { msg: "Hello Ada" }]);
  expect(await post("/Plain/Hello", '{"name":"Ada"}')).toEqual([200, { msg: "Hello Ada" }]);
});
