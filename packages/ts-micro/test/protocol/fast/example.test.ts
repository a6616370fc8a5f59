import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errors } from "../../../src/errors.ts";
import { Metadata } from "../../../src/metadata.ts";
import type { CallHead } from "../../../src/protocol.ts";
import type { Kind } from "../../../src/context.ts";
import { bytes, text } from "../../../src/testing/protocol/bench.ts";
import { virtualClock } from "../../../src/testing/clock.ts";
import { Frame } from "../../../src/wire/fast/frame.ts";
import { raw } from "../../transport/raw.ts";
import { read } from "../../wire/fast/frames.ts";
import { FastWorld, failure } from "./world.ts";

const page = readFileSync(new URL("../../../../../docs/wire/fast-framing.md", import.meta.url), "utf8");

/** Who says what, line by line, as the specification has it. */
const lines = [...page.matchAll(/^([CS]) ([0-9a-f ]+?)\s+; (.*)$/gm)].map(([, who, hex, what]) => ({
  who: who as "C" | "S",
  bytes: Buffer.from((hex as string).replaceAll(" ", ""), "hex"),
  what: what as string,
}));
const said = (who: "C" | "S"): Buffer =>
  Buffer.concat(lines.filter((line) => line.who === who).map((line) => line.bytes));

let world: FastWorld;
beforeEach(() => {
  world = new FastWorld();
  (world.bench as { contentType: string }).contentType = "application/json";
  world.bench.unaries.set("Greeter.Hello", async (call, body) => {
    expect(call.head.metadata?.get("x-user")).toBe("7");
    const { name } = JSON.parse(text(body)) as { name: string };
    if (name === "") throw errors.badRequest("greeter", "no name");
    call.response?.header.set("X-Seen", "yes");
    call.response?.trailer.set("X-Cost", "3");
    return { body: bytes(JSON.stringify({ msg: `Hello ${name}` })) };
  });
  world.bench.on("server", "Greeter.Count", async (_call, stream) => {
    const { to } = JSON.parse(text(await stream.read())) as { to: number };
    for (let n = 1; n <= to; n++) await stream.send(bytes(JSON.stringify({ n })));
    return undefined;
  });
});
afterEach(() => world.close());

describe("the example of the specification", () => {
  it("names every frame that it has", () => {
    expect(lines.length).toBe(23);
    const names = Object.entries(Frame);
    for (const { who, bytes, what } of lines.slice(2)) {
      const [frame, ...more] = read(bytes);
      expect(more).toEqual([]);
      const name = names.find(([, number]) => number === frame?.type)?.[0].toUpperCase();
      expect(`${who} ${what}`).toMatch(`${who} ${name}`);
    }
  });

  it("is answered by our server as it says", async () => {
    const listener = await world.serve();
    const client = await raw(listener.address);
    // Each answer is waited for, so that replies keep the order of the page.
    let wanted = Buffer.alloc(0);
    for (const { who, bytes, what } of lines) {
      if (who === "C") await client.write(bytes);
      else {
        wanted = Buffer.concat([wanted, bytes]);
        if (what.startsWith("GOAWAY")) void listener.drain();
        await client.until(() => client.bytes.length >= wanted.length, what);
        expect(client.bytes.toString("hex", 0, wanted.length), what).toBe(wanted.toString("hex"));
      }
    }
    expect(client.bytes.toString("hex")).toBe(said("S").toString("hex"));
    client.socket.destroy();
  });

  it("is what our client says", async () => {
    const clock = virtualClock();
    const address = await world.strange(() => {});
    const peer = world.dial(address, { clock });
    const head = (endpoint: string, kind: Kind, more: Partial<CallHead> = {}): CallHead => ({
      service: "greeter",
      endpoint,
      contentType: "application/json",
      kind,
      deadline: Infinity,
      metadata: undefined,
      id: "ts-1",
      ...more,
    });
    const metadata = Metadata.from({ "x-user": "7" });
    const hello = (name: string, more: Partial<CallHead> = {}): Promise<string> =>
      peer
        .unary(head("Greeter.Hello", "unary", { deadline: 5000, metadata, ...more }), bytes(JSON.stringify({ name })))
        .then(({ body }) => text(body));
    const first = hello("Ann");
    await new Promise((resolve) => setTimeout(resolve, 20));
    const [wire] = world.wires;
    const answers = lines.filter(({ who }) => who === "S").map(({ bytes }) => bytes);
    const answer = (n: number): Promise<void> => wire!.raw.write(Buffer.concat(answers.splice(0, n)));
    await answer(2);
    await wire!.frame(Frame.request, 1);
    await answer(1);
    expect(await first).toBe('{"msg":"Hello Ann"}');
    const second = failure(hello(""));
    await wire!.frame(Frame.request, 2);
    await answer(1);
    expect(await second).toMatchObject({ id: "greeter", code: "BAD_REQUEST", detail: "no name", layer: "remote" });
    const stream = peer.stream(head("Greeter.Count", "server"));
    await stream.send(bytes('{"to":2}'));
    await wire!.frame(Frame.message, 3);
    await answer(3);
    expect([text(await stream.read()), text(await stream.read()), await stream.read()]).toEqual([
      '{"n":1}',
      '{"n":2}',
      undefined,
    ]);
    const heard: string[] = [];
    const third = hello("Bob", {
      listener: {
        header: (added) => heard.push(`header ${added.get("X-Seen")}`),
        trailer: (added) => heard.push(`trailer ${added.get("X-Cost")}`),
      },
    });
    await wire!.frame(Frame.request, 4);
    await answer(3);
    expect(await third).toBe('{"msg":"Hello Bob"}');
    expect(heard).toEqual(["header yes", "trailer 3"]);
    const wanted = said("C");
    const ping = wanted.subarray(0, wanted.length - 18);
    expect(wire!.raw.bytes.toString("hex")).toBe(ping.toString("hex"));
  });
});
