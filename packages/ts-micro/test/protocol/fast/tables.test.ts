import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Metadata, fitToSend } from "../../../src/metadata.ts";
import { Tables, metadataBlock } from "../../../src/protocol/fast/tables.ts";
import { Flag } from "../../../src/wire/fast/frame.ts";
import { decodeMetadata, decodeRoute } from "../../../src/wire/fast/text.ts";
import { FrameWriter } from "../../../src/wire/fast/writer.ts";
import { read } from "../../wire/fast/frames.ts";

/** Tables with what the peer would know. */
function tables(): { tables: Tables; routes: Map<number, string>; blocks: Map<number, string>; learn: () => number } {
  const writer = new FrameWriter(() => {});
  const routes = new Map<number, string>();
  const blocks = new Map<number, string>();
  const learn = (): number => {
    const frames = read(writer.take() ?? Buffer.alloc(0));
    writer.reuse();
    for (const { flags, id, payload } of frames)
      ((flags & Flag.metadata) === 0 ? routes : blocks).set(id, String(payload));
    return frames.length;
  };
  return { tables: new Tables(writer), routes, blocks, learn };
}

describe("the tables", () => {
  it("never name what the peer does not hold, however many there are and however few it keeps", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 5 }),
        fc.array(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 100 }),
        (mostRoutes, mostBlocks, calls) => {
          const { tables: ours, routes, blocks, learn } = tables();
          ours.limit(mostRoutes, mostBlocks);
          const known = Array.from({ length: 9 }, (_, n) => ({ service: "s", endpoint: `E.${n}`, contentType: "t" }));
          for (const [r, b] of calls) {
            const route = known[r] as (typeof known)[number];
            const block = `name\0${b}\0`;
            const number = ours.route(route);
            const metadata = ours.block(block);
            learn();
            expect(number).toBeLessThanOrEqual(mostRoutes);
            expect(metadata).toBeLessThanOrEqual(mostBlocks);
            expect(decodeRoute(routes.get(number) as string)).toEqual(route);
            if (metadata > 0) expect(blocks.get(metadata)).toBe(block);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("say nothing twice, and remember metadata that came twice in a row", () => {
    const { tables: ours, learn } = tables();
    const route = { service: "s", endpoint: "E.M", contentType: "t" };
    expect([ours.route(route), ours.route(route), learn()]).toEqual([1, 1, 1]);
    expect([
      ours.block("a\0"),
      ours.block("a\0"),
      ours.block("a\0"),
      ours.block("b\0"),
      ours.block("a\0"),
      learn(),
    ]).toEqual([0, 1, 1, 0, 1, 1]);
    const large = "x".repeat(9000);
    expect([ours.block(large), ours.block(large), learn()]).toEqual([0, 0, 0]);
  });
});

describe("a block of metadata", () => {
  it("has what flows and no per-hop header, by canonical names", () => {
    const block = metadataBlock(
      fitToSend({
        "x-user": "7",
        Timeout: "5",
        "Content-Type": "a",
        Local: "b",
        "micro-id": "c",
        "Micro-Trace-Id": "d",
      }),
    );
    expect(decodeMetadata(block)).toEqual([
      ["X-User", "7"],
      ["Micro-Trace-Id", "d"],
    ]);
    expect(metadataBlock(Metadata.from({}))).toBe("");
    expect(
      metadataBlock(
        fitToSend([
          ["a", "1"],
          ["A", "2"],
        ]),
      ),
    ).toBe("A\x002\0");
  });

  it("of an object that comes again is what it was when it was found fit", () => {
    const object: Record<string, string> = { a: "1" };
    const block = (): string => metadataBlock(fitToSend(object));
    expect(block()).toBe("A\x001\0");
    const taken = fitToSend(object);
    object["a"] = "2";
    expect(metadataBlock(taken)).toBe("A\x001\0");
    expect(block()).toBe("A\x002\0");
    object["b"] = "3";
    expect(block()).toBe("A\x002\0B\x003\0");
    expect(metadataBlock(fitToSend({ c: "4" }))).toBe("C\x004\0");
    delete object["a"];
    expect(block()).toBe("B\x003\0");
    object["b"] = "3\n";
    expect(block).toThrow("a line end or zero byte in it");
  });
});
