import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LazyAcceptor, type Accepting } from "../../src/internal/lazy-acceptor.ts";

let server: Server;
let dialled: Socket[];
beforeEach(async () => {
  dialled = [];
  server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(async () => {
  for (const socket of dialled) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

/** The server's end of a new connection. */
async function connection(): Promise<Socket> {
  const accepted = once(server, "connection");
  dialled.push(connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {}));
  const [socket] = (await accepted) as [Socket];
  return socket;
}

/** What is loaded, when `arrive` says so. */
function loading() {
  const did: string[] = [];
  const accepted: Socket[] = [];
  const loaded: Accepting = {
    accept: (socket) => void accepted.push(socket),
    drain: async () => {
      did.push("drain");
      await new Promise(setImmediate);
      did.push("drained");
    },
    close: async () => {
      did.push("close");
      for (const socket of accepted) socket.destroy();
    },
  };
  let arrive!: () => void;
  let fail!: (error: Error) => void;
  const load = (): Promise<Accepting> =>
    new Promise((resolve, reject) => {
      did.push("load");
      arrive = () => resolve(loaded);
      fail = reject;
    });
  const acceptor = new LazyAcceptor("lazy", [], () => true, load);
  return { acceptor, did, accepted, arrive: () => arrive(), fail: () => fail(new Error("no such module")) };
}

const none = Buffer.alloc(0);
const released = (): void => {};

describe("an acceptor that is loaded by its first connection", () => {
  it("gives it and those that came meanwhile to what was loaded, in order", async () => {
    const { acceptor, did, accepted, arrive } = loading();
    const sockets = [await connection(), await connection()];
    for (const socket of sockets) acceptor.accept(socket, none, released);
    expect(accepted).toEqual([]);
    arrive();
    await new Promise(setImmediate);
    sockets.push(await connection());
    acceptor.accept(sockets[2] as Socket, none, released);
    expect(accepted).toEqual(sockets);
    expect(did).toEqual(["load"]);
    await acceptor.close();
    expect(did).toEqual(["load", "close"]);
  });

  it("that closes while it loads ends what waits at once, closes what was loaded, and takes nothing more", async () => {
    const { acceptor, did, accepted, arrive } = loading();
    const socket = await connection();
    acceptor.accept(socket, none, released);
    const closed = acceptor.close();
    expect(socket.destroyed).toBe(true);
    const late = await connection();
    acceptor.accept(late, none, released);
    expect(late.destroyed).toBe(true);
    arrive();
    await closed;
    expect(did).toEqual(["load", "close"]);
    expect(accepted).toEqual([]);
  });

  it.each(["before it loads", "while it loads"])("that drains %s drains what was loaded", async (when) => {
    const { acceptor, did, arrive } = loading();
    if (when === "before it loads") {
      await acceptor.drain();
      expect(did).toEqual([]);
    }
    acceptor.accept(await connection(), none, released);
    const drained = when === "while it loads" ? acceptor.drain() : undefined;
    arrive();
    await drained;
    if (drained !== undefined) expect(did).toContain("drained");
    await new Promise(setImmediate);
    expect(did).toContain("drain");
    await acceptor.close();
  });

  it("whose load fails drops those that waited, and tries again with the next", async () => {
    const { acceptor, did, accepted, arrive, fail } = loading();
    const first = await connection();
    acceptor.accept(first, none, released);
    fail();
    await new Promise(setImmediate);
    expect(first.destroyed).toBe(true);
    const second = await connection();
    acceptor.accept(second, none, released);
    arrive();
    await new Promise(setImmediate);
    expect(accepted).toEqual([second]);
    expect(did).toEqual(["load", "load"]);
    await acceptor.close();
  });
});
