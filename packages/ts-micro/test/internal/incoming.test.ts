import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errors } from "../../src/errors.ts";
import { Incoming, type Receiver, type Source } from "../../src/internal/incoming.ts";
import { Ring } from "../../src/internal/ring.ts";

class Texts extends Incoming {
  readonly events: string[] = [];

  constructor() {
    super("test", false);
  }

  protected valueAt(bytes: Buffer, from: number, to: number): unknown {
    return this.valueOf(bytes.subarray(from, to));
  }

  protected valueOf(body: Uint8Array): unknown {
    const text = Buffer.from(body).toString();
    if (text === "bad") throw errors.badRequest("test", "bad");
    return text;
  }

  protected override spoiled(): void {
    this.events.push("spoiled");
  }

  protected override told(): void {
    this.events.push("told");
  }
}

/** A source that pushes; `unread`: bytes that it was not told of yet. */
class Pushing implements Source {
  receiver!: Receiver;
  unread = 0;

  read(): Promise<Uint8Array | undefined> {
    throw new Error("read of a source that pushes");
  }

  receive(receiver: Receiver): void {
    this.receiver = receiver;
  }

  took(bytes: number): void {
    this.unread -= bytes;
  }

  say(...texts: string[]): void {
    for (const text of texts) {
      const bytes = Buffer.from(`<${text}>`);
      if (!this.receiver.message(bytes, 1, bytes.length - 1)) this.unread += text.length;
      bytes.fill(0);
    }
  }
}

function pushed(): { source: Pushing; texts: Texts } {
  const source = new Pushing();
  const texts = new Texts();
  texts.attach(source);
  return { source, texts };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Incoming, of a source that pushes,", () => {
  it("gives what is there at once and what comes as it comes, and tells what was used", async () => {
    const { source, texts } = pushed();
    source.say("a", "bcd");
    expect(source.unread).toBe(4);
    expect(await texts.next()).toEqual({ done: false, value: "a" });
    expect(source.unread).toBe(3);
    expect(await texts.next()).toEqual({ done: false, value: "bcd" });
    const [first, second] = [texts.next(), texts.next()];
    source.say("e", "f", "g");
    expect([(await first).value, (await second).value, (await texts.next()).value]).toEqual(["e", "f", "g"]);
    expect(source.unread).toBe(0);
  });

  it("tells the end once, and is done for good", async () => {
    const { source, texts } = pushed();
    const waiting = [texts.next(), texts.next()];
    source.say("last");
    source.receiver.ended(undefined, false);
    expect(await Promise.all(waiting)).toEqual([
      { done: false, value: "last" },
      { done: true, value: undefined },
    ]);
    expect(await texts.next()).toEqual({ done: true, value: undefined });
    source.receiver.ended(errors.internal("test", "too late"), false);
    expect(await texts.next()).toEqual({ done: true, value: undefined });
    expect(texts.events).toEqual(["told"]);
  });

  it("tells an error once, behind what came before it", async () => {
    const { source, texts } = pushed();
    source.say("a");
    source.receiver.ended(errors.conflict("test", "broken"), false);
    expect((await texts.next()).value).toBe("a");
    await expect(texts.next()).rejects.toThrow("broken");
    expect((await texts.next()).done).toBe(true);
    expect(texts.events).toEqual(["told"]);
  });

  it("drops what is unread when that is not wanted any more, also behind a clean end", async () => {
    const { source, texts } = pushed();
    source.say("a");
    source.receiver.ended(undefined, false);
    source.receiver.ended(errors.cancelled("test", "enough"), true);
    await expect(texts.next()).rejects.toThrow("enough");
    expect((await texts.next()).done).toBe(true);
  });

  it("ends with a message that does not decode, behind those before it", async () => {
    const { source, texts } = pushed();
    source.say("a", "bad", "b");
    expect(texts.events).toEqual(["spoiled"]);
    expect((await texts.next()).value).toBe("a");
    await expect(texts.next()).rejects.toMatchObject({ code: "BAD_REQUEST" });
    expect((await texts.next()).done).toBe(true);
  });

  it("holds the sender back once its reader has left", async () => {
    const { source, texts } = pushed();
    source.say("a");
    for await (const text of texts) if (text === "a") break;
    source.say("bc");
    expect(source.unread).toBe(2);
    expect((await texts.next()).done).toBe(true);
  });
});

describe("forEach", () => {
  it("waits for what the callback promises before it gives the next one", async () => {
    const { source, texts } = pushed();
    const seen: unknown[] = [];
    let go = (): void => {};
    const all = texts.forEach((text) => {
      seen.push(text);
      return text === "wait" ? new Promise<void>((resolve) => (go = resolve)) : undefined;
    });
    source.say("a", "wait", "b");
    await turn();
    expect(seen).toEqual(["a", "wait"]);
    expect(source.unread).toBe(1);
    go();
    await turn();
    source.say("c");
    source.receiver.ended(undefined, false);
    await all;
    expect(seen).toEqual(["a", "wait", "b", "c"]);
    expect(source.unread).toBe(0);
  });

  it("rejects with the stream's error, and with what the callback throws", async () => {
    const first = pushed();
    const failing = first.texts.forEach(() => {});
    first.source.receiver.ended(errors.conflict("test", "broken"), false);
    await expect(failing).rejects.toThrow("broken");
    const second = pushed();
    const throwing = second.texts.forEach(() => {
      throw new RangeError("mine");
    });
    second.source.say("a");
    await expect(throwing).rejects.toThrow(RangeError);
  });
});

describe("Incoming, of a source that is read,", () => {
  const reading = (bodies: (string | Error)[]): { source: Source; reads: () => number } => {
    let reads = 0;
    const read = (): Promise<Uint8Array | undefined> => {
      const body = bodies[reads++];
      return body instanceof Error
        ? Promise.reject(body)
        : Promise.resolve(body === undefined ? body : Buffer.from(body));
    };
    return { source: { read }, reads: () => reads };
  };

  it("asks for one message at a time, and only when somebody waits for it", async () => {
    const { source, reads } = reading(["a", "b"]);
    const texts = new Texts();
    texts.attach(source);
    await turn();
    expect(reads()).toBe(0);
    expect((await texts.next()).value).toBe("a");
    await turn();
    expect(reads()).toBe(1);
    expect((await Promise.all([texts.next(), texts.next()])).map(({ value }) => value)).toEqual(["b", undefined]);
    const again = new Texts();
    again.attach(reading(["a", "b"]).source);
    const seen: unknown[] = [];
    await again.forEach((text) => seen.push(text));
    expect(seen).toEqual(["a", "b"]);
  });

  it("tells its error once", async () => {
    const texts = new Texts();
    texts.attach(reading(["a", new Error("broken")]).source);
    expect((await texts.next()).value).toBe("a");
    await expect(texts.next()).rejects.toMatchObject({ code: "INTERNAL", detail: "broken" });
    expect((await texts.next()).done).toBe(true);
  });

  it("goes on with the one behind it, once that is there", async () => {
    const behind = new Pushing();
    const texts = new Texts();
    texts.attach({ read: () => Promise.resolve(Buffer.from("a")), behind });
    expect((await texts.next()).value).toBe("a");
    behind.say("b");
    expect((await texts.next()).value).toBe("b");
  });

  it("does not tell the one behind it that what was read before is used", async () => {
    const behind = new Pushing();
    const texts = new Texts();
    texts.attach({ read: () => Promise.resolve(Buffer.from("a")), behind });
    const seen: unknown[] = [];
    const all = texts.forEach((text) => seen.push(text));
    await turn();
    behind.say("bc");
    behind.receiver.ended(undefined, false);
    await all;
    expect(seen).toEqual(["a", "bc"]);
    expect(behind.unread).toBe(0);
  });
});

it("Ring keeps values in order, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -300, max: 400 }), { maxLength: 60 }), (steps) => {
      const ring = new Ring();
      const model: number[] = [];
      let next = 0;
      for (const step of steps) {
        for (let i = 0; i < step; i++) {
          ring.push(`v${next}`, next);
          model.push(next++);
        }
        for (let i = 0; i > step && model.length > 0; i--) {
          expect(ring.number).toBe(model[0]);
          expect(ring.shift()).toBe(`v${model.shift()}`);
        }
        expect(ring.count).toBe(model.length);
      }
    }),
  );
});
