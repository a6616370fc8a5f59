import { execFile } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { Programs } from "../registry/local/children.ts";

const programs = new Programs();
afterAll(() => programs.remove());

const opening = `
import { hostname } from "node:os";
import { httpBroker } from "./src/broker/http.ts";
import { memoryRegistry } from "./src/registry/memory.ts";
const registry = memoryRegistry();
const broker = httpBroker({ registry, address: "127.0.0.1:0" });
const message = { header: {}, body: new Uint8Array(1) };
`;

/** Runs a program to its end, and gives what it wrote; fails when it has to be stopped. */
function run(name: string, code: string): Promise<string> {
  const file = programs.inline(name, opening + code);
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [file], { timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${name}: ${error.message}${stdout}${stderr}`));
    });
  });
}

describe("http broker and the process", () => {
  it("a program that publishes ends by itself when its messages are handed over", async () => {
    const out = await run(
      "publisher",
      `
      let got = 0;
      const other = httpBroker({ registry, address: "127.0.0.1:0" });
      const subscription = await other.subscribe("t", async () => { got++; });
      await broker.publish("t", message);
      await subscription.close();
      await broker.publish("nobody", message);
      console.log("got", got);`,
    );
    expect(out).toBe("got 1\n");
  });

  it("a copy that is kept for later keeps the process until it is delivered or given up", async () => {
    const out = await run(
      "keeper",
      `
      const node = { id: "a", address: "127.0.0.1:1", metadata: { broker: "http", secure: "false", topic: "t", host: hostname() } };
      await registry.register({ name: "micro.http.broker", version: "ff.http.broadcast", metadata: {}, endpoints: [], nodes: [node] });
      broker.onError = (error) => console.log("told", error.code);
      await broker.publish("t", message);
      console.log("published");`,
    );
    expect(out).toBe("published\ntold UNAVAILABLE\n");
  });

  it("an open subscription keeps the process, a closed one does not", async () => {
    const out = await run(
      "subscriber",
      `
      const subscription = await broker.subscribe("t", async () => {});
      setTimeout(() => { console.log("still here"); void subscription.close(); }, 300).unref();`,
    );
    expect(out).toBe("still here\n");
  });

  it("a broker that is closed does not keep the process, whatever was subscribed", async () => {
    const out = await run(
      "closed",
      `
      await broker.subscribe("t", async () => {});
      await broker.publish("t", message);
      await broker.close();
      console.log("closed");`,
    );
    expect(out).toBe("closed\n");
  });

  it("a subscriber that does not answer holds the process no longer than the publish", async () => {
    const out = await run(
      "silent",
      `
      const { createServer } = await import("node:net");
      const server = createServer((socket) => socket.unref()).listen(0, "127.0.0.1");
      await new Promise((resolve) => server.once("listening", resolve));
      server.unref();
      const node = { id: "a", address: "127.0.0.1:" + server.address().port, metadata: { broker: "http", secure: "false", topic: "t", host: hostname() } };
      await registry.register({ name: "micro.http.broker", version: "ff.http.broadcast", metadata: {}, endpoints: [], nodes: [node] });
      const impatient = httpBroker({ registry, replyTimeout: 50 });
      await impatient.publish("t", message);
      console.log("unconfirmed", impatient.counters.unconfirmed);`,
    );
    expect(out).toBe("unconfirmed 1\n");
  });
});
