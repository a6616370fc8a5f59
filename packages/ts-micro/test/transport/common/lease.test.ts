import { expect, it } from "vitest";
import type { Connection, Receiver } from "../../../src/transport.ts";
import { Lease } from "../../../src/transport/common/lease.ts";

const receiver: Receiver = { message() {}, closed() {} };
const message = { header: {}, body: Buffer.from("x") };

/** A connection that notes what it is told. */
function connection(lines = true): { link: Connection; told: string[] } {
  const told: string[] = [];
  const note = (what: string) => (): void => void told.push(what);
  const link: Connection = {
    local: "here:1",
    remote: "there:2",
    receive: note("receive"),
    send: async () => void told.push("send"),
    ...(lines ? { sendLines: note("sendLines") } : {}),
    pause: note("pause"),
    resume: note("resume"),
    release: note("release"),
    busy: note("busy"),
    close: note("close"),
    destroy: note("destroy"),
  };
  return { link, told };
}

it("hands on what its user does", async () => {
  const { link, told } = connection();
  const lease = new Lease(link);
  lease.receive(receiver);
  await lease.send(message);
  lease.sendLines?.([], "x");
  lease.pause();
  lease.resume();
  lease.busy(true);
  lease.release();
  expect(told).toEqual(["receive", "send", "sendLines", "pause", "resume", "busy", "release"]);
  expect([lease.local, lease.remote]).toEqual(["here:1", "there:2"]);
});

it("has lines only where the connection has", () => {
  expect(new Lease(connection(false).link).sendLines).toBeUndefined();
});

it.each(["release", "close", "destroy"] as const)("after %s its former user reaches nothing", async (end) => {
  const { link, told } = connection();
  const lease = new Lease(link);
  lease[end]();
  lease.receive(receiver);
  lease.pause();
  lease.resume();
  lease.busy(true);
  lease.release();
  lease.close();
  lease.destroy();
  await expect(lease.send(message)).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  expect(() => lease.sendLines?.([], "x")).toThrow(expect.objectContaining({ code: "CONNECTION_LOST" }));
  expect(told).toEqual([end]);
});
