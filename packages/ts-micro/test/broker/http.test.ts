import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { afterEach, describe, expect, it } from "vitest";
import type { BrokerEvent } from "../../src/broker.ts";
import { httpBroker, type HttpBroker, type HttpBrokerOptions } from "../../src/broker/http.ts";
import { errors, type MicroError } from "../../src/errors.ts";
import type { Registry, ServiceRecord } from "../../src/registry.ts";
import { memoryRegistry, memoryWorld } from "../../src/registry/memory.ts";
import { text } from "../../src/testing/broker.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import { RawPeer, announce, exchange, freePort } from "./peer.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface Opened {
  readonly broker: HttpBroker;
  readonly registry: Registry;
  readonly errors: MicroError[];
  readonly events: (BrokerEvent | undefined)[];
}

function open(options: Partial<HttpBrokerOptions> = {}): Opened {
  const registry = options.registry ?? memoryRegistry();
  const broker = httpBroker({ registry, address: "127.0.0.1:0", ...options });
  const told: MicroError[] = [];
  const events: (BrokerEvent | undefined)[] = [];
  broker.onError = (error, event) => {
    told.push(error);
    events.push(event);
  };
  closing.push(
    () => registry.close(),
    () => broker.close(),
  );
  return { broker, registry, errors: told, events };
}

async function peer(port?: number): Promise<RawPeer> {
  const made = await RawPeer.listen(port);
  closing.push(() => made.close());
  return made;
}

const own = { host: hostname() };

async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe("http broker, subscribers that fail", () => {
  it("a copy for a subscriber that cannot be reached is kept, and arrives once when it is back", async () => {
    const clock = virtualClock();
    const { broker, registry, errors } = open({ clock });
    const port = await freePort();
    await announce(registry, "news", `127.0.0.1:${port}`, { metadata: own });
    for (const name of ["a", "b", "c"]) await within(broker.publish("news", text(name)), "publish");
    expect(broker.counters).toMatchObject({ buffered: 3, dropped: 0 });
    const back = await peer(port);
    await clock.advance(100);
    await eventually(() => back.requests.length === 3, "the kept ones");
    const bodies = back.requests.map(({ body }) => (JSON.parse(body) as { Body: string }).Body);
    expect(bodies.map((body) => Buffer.from(body, "base64").toString())).toEqual(["a", "b", "c"]);
    await broker.publish("news", text("d"));
    await turns();
    expect(back.requests).toHaveLength(4);
    expect(errors).toEqual([]);
  });

  it("what is published while others wait for the same destination waits behind them", async () => {
    const clock = virtualClock();
    const { broker, registry } = open({ clock });
    const port = await freePort();
    await announce(registry, "news", `127.0.0.1:${port}`, { metadata: own });
    for (const name of ["a", "b"]) await broker.publish("news", text(name));
    const back = await peer(port);
    await broker.publish("news", text("c"));
    expect(back.requests).toEqual([]);
    await clock.advance(100);
    await eventually(() => back.requests.length === 3, "all three");
    const bodies = back.requests.map(({ body }) => (JSON.parse(body) as { Body: string }).Body);
    expect(bodies.map((body) => Buffer.from(body, "base64").toString())).toEqual(["a", "b", "c"]);
  });

  it("what cannot be delivered for some seconds is given up: counted, told with its event, no timer left", async () => {
    const clock = virtualClock();
    const { broker, registry, errors, events } = open({ clock });
    await announce(registry, "news", `127.0.0.1:${await freePort()}`, { metadata: own });
    for (const name of ["a", "b"]) await broker.publish("news", text(name));
    for (let i = 0; errors.length < 2; i++) {
      await clock.advance(250);
      await turns();
      expect(i).toBeLessThan(80);
    }
    expect(errors.map((error) => error.code)).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
    expect(events.map((event) => Buffer.from(event?.message.body ?? []).toString())).toEqual(["a", "b"]);
    expect(broker.counters).toMatchObject({ buffered: 2, dropped: 2 });
    expect(clock.now()).toBeGreaterThan(3000);
    await broker.close();
    expect(clock.pending()).toBe(0);
  });

  it("at most 64 copies are kept for a destination; the others are RESOURCE_EXHAUSTED", async () => {
    const clock = virtualClock();
    const { broker, registry, errors } = open({ clock });
    await announce(registry, "news", `127.0.0.1:${await freePort()}`, { metadata: own });
    for (let i = 0; i < 70; i++) await broker.publish("news", text(String(i)));
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 6 }, () => "RESOURCE_EXHAUSTED"));
    await broker.close();
    expect(errors).toHaveLength(70);
    expect(broker.counters.dropped).toBe(70);
  });

  it("of a queue the next one gets what the first could not be sent", async () => {
    const { broker, registry, errors } = open();
    const alive = await peer();
    await announce(registry, "work", `127.0.0.1:${await freePort()}`, { queue: "q", metadata: own });
    await announce(registry, "work", alive.address, { queue: "q", metadata: own });
    for (let i = 0; i < 10; i++) await broker.publish("work", text(String(i)));
    expect(alive.requests).toHaveLength(10);
    expect(broker.counters).toMatchObject({ buffered: 0, dropped: 0 });
    expect(errors).toEqual([]);
  });

  it("a copy that may have arrived is never sent again: a connection lost after the request is final", async () => {
    const clock = virtualClock();
    const { broker, registry, errors } = open({ clock });
    const [cuts, other] = [await peer(), await peer()];
    cuts.answer = undefined;
    cuts.onRequest = ({ socket }) => socket.destroy();
    other.answer = undefined;
    other.onRequest = ({ socket }) => socket.resetAndDestroy();
    await announce(registry, "work", cuts.address, { queue: "q", metadata: own });
    await announce(registry, "work", other.address, { queue: "q", metadata: own });
    await broker.publish("work", text("x"));
    await clock.advance(60_000);
    await turns();
    expect(cuts.requests.length + other.requests.length).toBe(1);
    expect(errors.map((error) => error.code)).toEqual(["CONNECTION_LOST"]);
    expect(broker.counters).toMatchObject({ dropped: 1, buffered: 0 });
  });

  it("an answer that is neither 2xx nor a refusal is final, and told", async () => {
    const { broker, registry, errors } = open();
    const bad = await peer();
    bad.answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno";
    await announce(registry, "news", bad.address);
    await broker.publish("news", text("x"));
    await broker.publish("news", text("y"));
    expect(bad.requests).toHaveLength(2);
    expect(errors.map((error) => error.code)).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
  });

  for (const status of ["201 Created", "204 No Content", "299 Fine"]) {
    it(`any 2xx is taken for a success: ${status}`, async () => {
      const { broker, registry, errors } = open();
      const good = await peer();
      good.answer = `HTTP/1.1 ${status}\r\n${status.startsWith("204") ? "" : "Content-Length: 0\r\n"}\r\n`;
      await announce(registry, "news", good.address);
      await broker.publish("news", text("x"));
      expect(errors).toEqual([]);
      expect(broker.counters.published).toBe(1);
    });
  }

  it("a subscriber that answers only when its handler is done does not hold the publisher for ever, and gets it once", async () => {
    const clock = virtualClock();
    const { broker, registry, errors } = open({ clock });
    const slow = await peer();
    slow.answer = undefined;
    await announce(registry, "news", slow.address);
    let done = false;
    const publishing = broker.publish("news", text("x")).then(() => (done = true));
    await eventually(() => slow.requests.length === 1, "the request");
    await clock.advance(4999);
    expect(done).toBe(false);
    await clock.advance(1);
    await publishing;
    expect(broker.counters).toMatchObject({ unconfirmed: 1, dropped: 0 });
    await clock.advance(60_000);
    expect(slow.requests).toHaveLength(1);
    expect(errors).toEqual([]);
    await broker.close();
    expect(clock.pending()).toBe(0);
  });

  it("a connection that does not come to stand in time counts as not sent", async () => {
    const clock = virtualClock();
    const { broker, registry } = open({ clock, tls: undefined });
    // TLS toward a peer that says nothing: the connection never stands.
    const mute = await peer();
    mute.answer = undefined;
    await announce(registry, "news", mute.address, { metadata: { ...own, secure: "true" } });
    let done = false;
    const publishing = broker.publish("news", text("x")).then(() => (done = true));
    await eventually(() => mute.connections === 1, "the connection");
    expect(done).toBe(false);
    await clock.advance(2000);
    await publishing;
    expect(broker.counters.buffered).toBe(1);
  });

  it("one connection serves many publishes", async () => {
    const { broker, registry } = open();
    const one = await peer();
    await announce(registry, "news", one.address);
    for (let i = 0; i < 20; i++) await broker.publish("news", text(String(i)));
    expect(one.requests).toHaveLength(20);
    expect(one.connections).toBe(1);
  });
});

describe("http broker, whose loopback", () => {
  it("the loopback address of another host is passed over", async () => {
    const { broker, registry, errors } = open();
    const other = await peer();
    await announce(registry, "news", other.address, { metadata: { host: "another-host" } });
    await broker.publish("news", text("x"));
    expect(other.connections).toBe(0);
    expect(broker.counters).toMatchObject({ skipped: 1, buffered: 0, dropped: 0 });
    expect(errors).toEqual([]);
  });

  it("a Go node on loopback, which does not say whose, is tried, and passed over in silence when nobody is there", async () => {
    const { broker, registry, errors } = open();
    const go = await peer();
    await announce(registry, "news", go.address);
    await announce(registry, "news", `127.0.0.1:${await freePort()}`);
    await broker.publish("news", text("x"));
    expect(go.requests).toHaveLength(1);
    expect(broker.counters).toMatchObject({ skipped: 1, buffered: 0, dropped: 0 });
    expect(errors).toEqual([]);
  });
});

describe("http broker and its registry", () => {
  it("refreshing the record, losing it, and flapping never double a delivery", async () => {
    const clock = virtualClock();
    const world = memoryWorld(clock);
    const { broker: subscriber } = open({ clock, registry: memoryRegistry({ world }) });
    const { broker: publisher, registry } = open({ clock, registry: memoryRegistry({ world }) });
    const got: string[] = [];
    await subscriber.subscribe("news", async ({ message }) => void got.push(Buffer.from(message.body).toString()));
    await publisher.publish("news", text("0"));
    for (let i = 1; i <= 4; i++) {
      const [record] = (await registry.getService("micro.http.broker")) as [ServiceRecord];
      await registry.deregister(record);
      if (i % 2 === 0) await registry.register(record);
      await clock.advance(30_000);
      expect((await registry.getService("micro.http.broker"))[0]?.nodes).toHaveLength(1);
      await publisher.publish("news", text(String(i)));
      await eventually(() => got.length === i + 1, `message ${i}`);
    }
    await turns();
    expect(got).toEqual(["0", "1", "2", "3", "4"]);
  });

  it("the record lives as long as it is refreshed: 60 s, every 30 s", async () => {
    const clock = virtualClock();
    const world = memoryWorld(clock);
    const { broker, registry } = open({ clock, registry: memoryRegistry({ world }) });
    const subscription = await broker.subscribe("news", async () => {});
    for (let i = 0; i < 10; i++) {
      await clock.advance(25_000);
      expect(await registry.getService("micro.http.broker")).toHaveLength(1);
    }
    await subscription.close();
    expect(await registry.getService("micro.http.broker")).toEqual([]);
    await clock.advance(120_000);
    expect(await registry.getService("micro.http.broker")).toEqual([]);
  });

  it("a registry that is away when subscribing is told once and tried again until it is there", async () => {
    const clock = virtualClock();
    const registry = memoryRegistry({ clock });
    let away = true;
    let tries = 0;
    const flaky: Registry = Object.create(registry, {
      register: {
        value: async (...args: Parameters<Registry["register"]>) => {
          tries++;
          if (away) throw errors.registryUnavailable("test", "away");
          await registry.register(...args);
        },
      },
      getService: { value: registry.getService.bind(registry) },
      deregister: { value: registry.deregister.bind(registry) },
      watch: { value: registry.watch.bind(registry) },
      close: { value: registry.close.bind(registry) },
    }) as Registry;
    const { broker, errors: told } = open({ clock, registry: flaky });
    await broker.subscribe("news", async () => {});
    expect(told.map((error) => error.code)).toEqual(["REGISTRY_UNAVAILABLE"]);
    await clock.advance(20_000);
    expect(tries).toBeGreaterThan(4);
    expect(told).toHaveLength(1);
    away = false;
    await clock.advance(5000);
    expect(await registry.getService("micro.http.broker")).toHaveLength(1);
  });

  it("a registry that fails rejects a first publish, and later ones go on with what is known", async () => {
    const clock = virtualClock();
    const registry = memoryRegistry({ clock });
    let away = true;
    const flaky: Registry = Object.create(registry, {
      getService: {
        value: async (...args: Parameters<Registry["getService"]>) => {
          if (away) throw errors.registryUnavailable("test", "away");
          return registry.getService(...args);
        },
      },
      watch: {
        value: (...args: Parameters<Registry["watch"]>) => {
          const watcher = registry.watch(...args);
          return away
            ? {
                ...watcher,
                ready: Promise.reject(errors.registryUnavailable("test", "away")),
                close: () => watcher.close(),
              }
            : watcher;
        },
      },
      close: { value: registry.close.bind(registry) },
    }) as Registry;
    const one = await peer();
    await announce(registry, "news", one.address);
    const { broker } = open({ clock, registry: flaky });
    await expect(broker.publish("news", text("x"))).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    away = false;
    await broker.publish("news", text("y"));
    away = true;
    await clock.advance(300_000);
    await broker.publish("news", text("z"));
    expect(one.requests).toHaveLength(2);
  });

  it("what a subscriber without a queue has left behind in a stale view is passed over in silence; a queue's goes to another member", async () => {
    const clock = virtualClock();
    const { broker, registry, errors: told } = open({ clock });
    const [stale, member] = [await peer(), await peer()];
    stale.answer = "HTTP/1.1 200 OK\r\nMicro-Refused: 1\r\nContent-Length: 0\r\n\r\n";
    await announce(registry, "news", stale.address, { id: "a", metadata: own });
    await announce(registry, "news", stale.address, { id: "b", queue: "q", metadata: own });
    await announce(registry, "news", member.address, { id: "c", queue: "q", metadata: own });
    for (let i = 0; i < 6; i++) await broker.publish("news", text(String(i)));
    expect(member.requests).toHaveLength(6);
    expect(stale.requests.length).toBeLessThanOrEqual(2);
    expect(told).toEqual([]);
    expect(broker.counters).toMatchObject({ dropped: 0, buffered: 0 });
  });

  it("a member of a queue without room is passed over for another", async () => {
    const { broker, registry, errors: told } = open();
    const [full, member] = [await peer(), await peer()];
    full.answer = "HTTP/1.1 503 Service Unavailable\r\nMicro-Refused: 1\r\nContent-Length: 0\r\n\r\n";
    await announce(registry, "work", full.address, { queue: "q", metadata: own });
    await announce(registry, "work", member.address, { queue: "q", metadata: own });
    for (let i = 0; i < 6; i++) await broker.publish("work", text(String(i)));
    expect(member.requests).toHaveLength(6);
    expect(told).toEqual([]);
  });

  it("nodes of other brokers and topics under the same service name are left alone", async () => {
    const { broker, registry } = open();
    const other = await peer();
    await announce(registry, "news", other.address, { id: "a", metadata: { broker: "nats" } });
    await announce(registry, "olds", other.address, { id: "b" });
    await broker.publish("news", text("x"));
    expect(other.connections).toBe(0);
    expect(broker.counters.unheard).toBe(1);
  });
});

describe("http broker, its own life", () => {
  it("that finds its port in use says what to do", async () => {
    const { broker: first } = open();
    await first.subscribe("news", () => Promise.resolve());
    const { broker } = open({ address: first.address });
    const failed = broker.subscribe("news", () => Promise.resolve());
    await expect(failed).rejects.toMatchObject({
      code: "UNAVAILABLE",
      detail: `cannot listen on ${first.address}: the address is in use; another comes from MICRO_BROKER_ADDRESS or else the broker's option \`address\`, and port 0 is one that is free`,
    });
  });

  it("with TLS the node says so, and publishers verify it against their authority", async () => {
    const pem = (name: string): string => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
    const world = memoryWorld();
    const { broker: subscriber, registry } = open({
      registry: memoryRegistry({ world }),
      tls: { cert: pem("server"), key: pem("server-key") },
    });
    const got: string[] = [];
    await subscriber.subscribe("news", async ({ message }) => void got.push(Buffer.from(message.body).toString()));
    expect((await registry.getService("micro.http.broker"))[0]?.nodes[0]?.metadata["secure"]).toBe("true");
    const { broker: trusting } = open({ registry: memoryRegistry({ world }), clientTls: { ca: pem("ca") } });
    await trusting.publish("news", text("x"));
    await trusting.publish("news", text("y"));
    await eventually(() => got.length === 2, "the messages");
    const clock = virtualClock();
    const { broker: doubting } = open({ registry: memoryRegistry({ world }), clock });
    await doubting.publish("news", text("z"));
    expect(doubting.counters.buffered).toBe(1);
    await turns();
    expect(got).toEqual(["x", "y"]);
  });

  it("an address that is taken rejects the subscription, leaves nothing in the registry, and can be tried again", async () => {
    const taken = await peer();
    const { broker, registry } = open({ address: taken.address });
    const { address } = taken;
    await expect(broker.subscribe("news", async () => {})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await registry.getService("micro.http.broker")).toEqual([]);
    await taken.close();
    closing.splice(closing.length - 3, 1);
    await broker.subscribe("news", async () => {});
    expect(broker.address).toBe(address);
  });

  it("of a range of ports the first free one is taken", async () => {
    const taken = await peer();
    const { broker } = open({ address: `127.0.0.1:${taken.port}-${Math.min(65_535, taken.port + 50)}` });
    await broker.subscribe("news", async () => {});
    const port = Number(broker.address.split(":")[1]);
    expect(port).toBeGreaterThan(taken.port);
  });

  it("what it advertises is what it was told", async () => {
    const { broker, registry } = open({ advertise: "10.1.2.3" });
    await broker.subscribe("news", async () => {});
    const [record] = await registry.getService("micro.http.broker");
    expect(record?.nodes[0]?.address).toMatch(/^10\.1\.2\.3:\d+$/);
    expect(record?.nodes[0]?.metadata["host"]).toBeUndefined();
  });

  it("a message whose envelope is too large is PAYLOAD_TOO_LARGE at the publisher", async () => {
    const { broker } = open({ maxBytes: 1000 });
    await expect(broker.publish("news", text("x".repeat(1000)))).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  it("a publish that is cancelled while it waits rejects with CANCELLED at once", async () => {
    const { broker, registry } = open();
    const slow = await peer();
    slow.answer = undefined;
    await announce(registry, "news", slow.address);
    const control = new AbortController();
    const publishing = broker.publish("news", text("x"), { signal: control.signal });
    await eventually(() => slow.requests.length === 1, "the request");
    control.abort();
    await expect(publishing).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("close during subscribe and publish settles both, and leaves nothing in the registry", async () => {
    const world = memoryWorld();
    const witness = memoryRegistry({ world });
    closing.push(() => witness.close());
    for (let i = 0; i < 20; i++) {
      const { broker } = open({ registry: memoryRegistry({ world }) });
      const subscribing = broker.subscribe("news", async () => {});
      const publishing = broker.publish("news", text("x"));
      for (let turn = 0; turn < i; turn++) await Promise.resolve();
      if (i > 10) await new Promise((resolve) => setImmediate(resolve));
      const closed = broker.close();
      await within(Promise.allSettled([subscribing, publishing, closed]), "all three");
      await closed;
      expect(await witness.getService("micro.http.broker")).toEqual([]);
    }
  });

  it("a subscription that is being registered when the broker closes is taken out again, and rejects", async () => {
    const registry = memoryRegistry();
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    let asked = false;
    const slow: Registry = Object.create(registry, {
      register: {
        value: async (...args: Parameters<Registry["register"]>) => {
          asked = true;
          await gate;
          await registry.register(...args);
        },
      },
      deregister: { value: registry.deregister.bind(registry) },
      close: { value: registry.close.bind(registry) },
    }) as Registry;
    const { broker } = open({ registry: slow });
    const subscribing = broker.subscribe("news", async () => {});
    subscribing.catch(() => {});
    await eventually(() => asked, "the registration");
    const closed = broker.close();
    await turns();
    go();
    await closed;
    await expect(subscribing).rejects.toMatchObject({ code: "INVALID_STATE" });
    expect(await registry.getService("micro.http.broker")).toEqual([]);
  });

  it("after close nobody listens, and a kept connection is closed", async () => {
    const { broker } = open();
    await broker.subscribe("news", async () => {});
    const { address } = broker;
    expect(await exchange(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", /\}\n$/)).toContain("405");
    await broker.close();
    expect(await exchange(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", /never/)).toBe("");
    expect(broker.address).toBe("");
  });
});
