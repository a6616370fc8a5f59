import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { faultProxy, type FaultProxy } from "./fault-proxy.ts";

/** Everything a socket got, and how it ended. */
function watch(socket: Socket): { text: () => string; ended: Promise<string>; got: (n: number) => Promise<void> } {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<string>((resolve) => {
    socket.once("end", () => resolve("fin"));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
  });
  const text = (): string => Buffer.concat(chunks).toString("latin1");
  const got = async (n: number): Promise<void> => {
    while (text().length < n) await once(socket, "data");
  };
  return { text, ended, got };
}

describe("the fault proxy", () => {
  let server: Server;
  let proxy: FaultProxy;
  let sockets: Socket[];

  beforeEach(async () => {
    sockets = [];
    server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    proxy = await faultProxy(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  });

  afterEach(async () => {
    await proxy.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });

  function dial(): Socket {
    const [host, port] = proxy.address.split(":") as [string, string];
    return connect({ host, port: Number(port), allowHalfOpen: true });
  }

  it("passes bytes and FIN on, both ways, and counts them", async () => {
    const client = dial();
    const seen = watch(client);
    client.end("hello");
    expect(await seen.ended).toBe("fin");
    expect(seen.text()).toBe("hello");
    await proxy.until(() => proxy.open === 0);
    expect(proxy.bytes).toBe(10);
  });

  it("cuts with FIN or with RST", async () => {
    for (const [how, want] of [
      ["fin", "fin"],
      ["rst", "ECONNRESET"],
    ] as const) {
      const client = dial();
      const seen = watch(client);
      client.write("x");
      await seen.got(1);
      proxy.cutAll(how);
      expect(await seen.ended).toBe(want);
      client.destroy();
    }
  });

  it("truncates after so many bytes, and corrupts the byte that it is told to", async () => {
    proxy.onLink = (link) => {
      link.up.corrupt(1, 0x20);
      link.truncateDown(4, "fin");
    };
    const client = dial();
    const seen = watch(client);
    client.write("abcdefgh");
    expect(await seen.ended).toBe("fin");
    expect(seen.text()).toBe("aBcd");
    client.destroy();
  });

  it("keeps a frozen link silent, even when the other end has gone", async () => {
    const client = dial();
    const seen = watch(client);
    client.write("x");
    await seen.got(1);
    proxy.links[0]?.freeze();
    client.write("y");
    sockets[0]?.destroy();
    const other = dial();
    const others = watch(other);
    other.write("z");
    await others.got(1);
    expect(seen.text()).toBe("x");
    expect(client.destroyed).toBe(false);
    other.destroy();
    client.destroy();
  });

  it("holds one direction back and lets it go on, and delays in order", async () => {
    proxy.onLink = (link) => {
      link.down.stop();
      link.up.delay(5);
    };
    const client = dial();
    const seen = watch(client);
    for (const part of ["a", "b", "c"]) client.write(part);
    await proxy.until(() => proxy.links[0]?.up.forwarded === 3);
    expect(seen.text()).toBe("");
    proxy.links[0]?.down.go();
    await seen.got(3);
    expect(seen.text()).toBe("abc");
    client.destroy();
  });

  it("hooks see every chunk with its place, and may change or swallow it", async () => {
    proxy.onLink = (link) => {
      link.up.hook = (chunk, offset) => (offset === 0 ? undefined : Buffer.from(chunk.toString().toUpperCase()));
    };
    const client = dial();
    const seen = watch(client);
    client.write("a");
    await proxy.until(() => proxy.links[0]?.up.received === 1);
    client.write("b");
    await seen.got(1);
    expect(seen.text()).toBe("B");
    client.destroy();
  });
});
