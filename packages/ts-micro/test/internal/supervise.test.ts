import { describe, expect, it } from "vitest";
import { errors } from "../../src/errors.ts";
import { supervise, type Supervised } from "../../src/internal/supervise.ts";
import { virtualClock, type VirtualClock } from "../../src/testing/clock.ts";

/** A server with links and leases; links can be cut, leases lost. */
class Server {
  up = true;
  readonly links = new Set<Link>();
  readonly leases = new Map<number, () => void>();
  readonly keys = new Map<string, number>();
  grants = 0;
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** A link, after a round trip. */
  async connect(): Promise<Link> {
    await this.roundTrip();
    if (!this.up) throw errors.unavailable("server", "connection refused");
    const link = new Link(this);
    this.links.add(link);
    return link;
  }

  roundTrip(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(1, resolve));
  }

  cut(): void {
    for (const link of this.links) link.cut();
  }

  wipe(): void {
    const lost = [...this.leases.values()];
    this.leases.clear();
    this.keys.clear();
    for (const tell of lost) tell();
  }
}

class Link {
  readonly closed: Promise<never>;
  alive = true;
  readonly #server: Server;
  #tell!: (error: Error) => void;

  constructor(server: Server) {
    this.#server = server;
    this.closed = new Promise((_, reject) => (this.#tell = reject));
    this.closed.catch(() => {});
  }

  cut(): void {
    this.alive = false;
    this.#server.links.delete(this);
    this.#tell(errors.connectionLost("server", "reset"));
  }
}

interface Lease {
  readonly id: number;
  readonly gone: Promise<void>;
}

function stack(clock: VirtualClock, server: Server): { link: Supervised<Link>; lease: Supervised<Lease> } {
  const link = supervise<Link>(
    { name: "link", start: () => server.connect(), ended: (l) => l.closed, stop: (l) => l.cut() },
    { clock },
  );
  const lease = supervise<Lease, Link>(
    {
      name: "lease",
      async start(on, signal) {
        await server.roundTrip();
        if (!on.alive || signal.aborted) throw errors.connectionLost("lease", "link lost");
        const id = ++server.grants;
        const gone = new Promise<void>((resolve) => server.leases.set(id, resolve));
        server.keys.set("greeter-1", id);
        return { id, gone };
      },
      ended: (l) => l.gone,
      stop(l) {
        server.leases.delete(l.id);
        if (server.keys.get("greeter-1") === l.id) server.keys.delete("greeter-1");
      },
    },
    { clock, up: link },
  );
  return { link, lease };
}

describe("supervise", () => {
  it("starts a lost lease again and leaves the link below alone", async () => {
    const clock = virtualClock();
    const server = new Server(clock);
    const { link, lease } = stack(clock, server);
    await clock.advance(1000);
    expect([link.state, lease.state, server.keys.size]).toEqual(["up", "up", 1]);
    server.wipe();
    await clock.advance(3000);
    expect([link.generation, lease.generation, server.keys.size]).toEqual([1, 2, 1]);
    await lease.close();
    await link.close();
  });

  it("has exactly one of everything after 200 flaps, and nothing and no timer after close", async () => {
    const clock = virtualClock();
    const server = new Server(clock);
    const { link, lease } = stack(clock, server);
    for (let i = 0; i < 200; i++) {
      server.cut();
      await clock.advance(i % 7 === 0 ? 1 : 700);
    }
    // Flapping must not have become a hot loop: 120 s at pauses that grow to 2.5–5 s.
    expect(link.generation).toBeLessThan(70);
    await clock.advance(12_000);
    expect([server.links.size, server.leases.size, server.keys.size]).toEqual([1, 1, 1]);
    expect([link.state, lease.state]).toEqual(["up", "up"]);
    await lease.close();
    await link.close();
    expect([server.links.size, server.leases.size, server.keys.size, clock.pending()]).toEqual([0, 0, 0, 0]);
  });

  it("waits on the floor below during an outage and comes back by itself", async () => {
    const clock = virtualClock();
    const server = new Server(clock);
    const { link, lease } = stack(clock, server);
    await clock.advance(1000);
    server.up = false;
    server.cut();
    await clock.advance(60_000);
    expect(lease.state).toBe("waiting");
    await expect(link.value(AbortSignal.abort())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      detail: expect.stringContaining("connection refused"),
    });
    server.up = true;
    await clock.advance(6000);
    expect([link.state, lease.state, server.keys.size]).toEqual(["up", "up", 1]);
    await lease.close();
    await link.close();
    expect(clock.pending()).toBe(0);
  });

  it("forgives only after a calm generation", async () => {
    const clock = virtualClock();
    const ends: (() => void)[] = [];
    const task = supervise(
      { name: "t", start: () => 1, ended: () => new Promise<void>((resolve) => ends.push(resolve)) },
      { clock, random: () => 1 },
    );
    const flap = async (): Promise<void> => {
      await clock.advance(0);
      ends.at(-1)?.();
      await clock.advance(0);
    };
    await flap();
    await clock.advance(100);
    await flap();
    await clock.advance(199);
    expect(task.state).toBe("down");
    await clock.advance(1);
    expect(task.state).toBe("up");
    await clock.advance(10_000);
    await flap();
    await clock.advance(100);
    expect(task.state).toBe("up");
    await task.close();
  });

  it("parks visibly on a fatal error, fails waiters with it, and goes on only when told to", async () => {
    const clock = virtualClock();
    let good = false;
    const task = supervise(
      {
        name: "lease",
        start() {
          if (!good) throw errors.unauthorized("etcd", "bad password");
          return "lease";
        },
        ended: () => new Promise(() => {}),
      },
      { clock },
    );
    const waiting = task.value();
    await expect(waiting).rejects.toMatchObject({ code: "UNAVAILABLE", cause: { code: "UNAUTHORIZED" } });
    await clock.advance(600_000);
    expect(task.health()).toMatchObject({ state: "failed", generation: 1, error: { detail: "bad password" } });
    expect(clock.pending()).toBe(0);
    good = true;
    task.retry();
    expect(await task.value()).toBe("lease");
    await task.close();
  });

  it("aborts the signal of a generation that is over before the next one starts", async () => {
    const clock = virtualClock();
    const seen: AbortSignal[] = [];
    let end = (): void => {};
    const task = supervise(
      {
        name: "t",
        start(_up, signal) {
          expect(seen.every((earlier) => earlier.aborted)).toBe(true);
          seen.push(signal);
          return seen.length;
        },
        ended: () => new Promise<void>((resolve) => (end = resolve)),
      },
      { clock },
    );
    for (let i = 0; i < 5; i++) {
      await clock.advance(6000);
      end();
    }
    await clock.advance(6000);
    expect(seen.map((signal) => signal.aborted)).toEqual([true, true, true, true, true, false]);
    await task.close();
    expect(seen.at(-1)?.aborted).toBe(true);
  });

  it("undoes a start that succeeds after it was given up", async () => {
    const clock = virtualClock();
    const open = new Set<number>();
    let made = 0;
    const finish: (() => void)[] = [];
    const task = supervise(
      {
        name: "slow",
        async start() {
          await new Promise<void>((resolve) => finish.push(resolve));
          open.add(++made);
          return made;
        },
        ended: () => new Promise(() => {}),
        stop: (value) => void open.delete(value),
      },
      { clock },
    );
    await clock.advance(0);
    const closing = task.close();
    await clock.advance(1000);
    await closing;
    finish[0]?.();
    await clock.advance(0);
    expect([made, open.size, clock.pending()]).toEqual([1, 0, 0]);
  });

  it("close in any moment of start resolves, and no attempt follows", async () => {
    for (let moment = 0; moment < 12; moment++) {
      const clock = virtualClock();
      const server = new Server(clock);
      const { link, lease } = stack(clock, server);
      for (let i = 0; i < moment; i++) {
        if (i % 3 === 2) await clock.advance(1);
        else await Promise.resolve();
      }
      const closing = Promise.all([lease.close(), link.close(), lease.close()]);
      await clock.advance(2000);
      await closing;
      const attempts = [link.generation, lease.generation];
      await clock.advance(60_000);
      expect([link.generation, lease.generation]).toEqual(attempts);
      expect([server.links.size, server.leases.size, server.keys.size, clock.pending()]).toEqual([0, 0, 0, 0]);
      await expect(link.value()).rejects.toMatchObject({ code: "INVALID_STATE" });
    }
  });

  it("close ends every wait for the value with INVALID_STATE", async () => {
    const clock = virtualClock();
    const task = supervise({ name: "t", start: () => new Promise(() => {}), ended: async () => {} }, { clock });
    const waits = [task.value(), task.value(new AbortController().signal)];
    const failed = Promise.all(waits.map((wait) => expect(wait).rejects.toMatchObject({ code: "INVALID_STATE" })));
    const closing = task.close();
    await clock.advance(1000);
    await closing;
    await failed;
  });

  it("a stop that hangs or throws does not keep the next generation away", async () => {
    const clock = virtualClock();
    let stops = 0;
    const task = supervise(
      {
        name: "t",
        start: () => stops,
        ended: () => new Promise<void>((resolve) => clock.after(10, resolve)),
        stop() {
          if (++stops % 2 === 0) throw new Error("stop failed");
          return new Promise(() => {});
        },
      },
      { clock },
    );
    await clock.advance(60_000);
    expect(stops).toBeGreaterThan(5);
    const closing = task.close();
    await clock.advance(1000);
    await closing;
    expect(clock.pending()).toBe(0);
  });
});
