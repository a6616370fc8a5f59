/** Bytes of Go's grpc clients and servers, v4 and v5 (wire spec §4). */
import { describe, expect, it } from "vitest";
import { capture, captureNames } from "../captures.ts";
import { FrameReader, frame } from "ts-micro/wire/grpc/frame";
import { targetOf } from "ts-micro/wire/grpc/path";
import { decodeStatus, encodeStatus } from "ts-micro/wire/grpc/status";
import { decodeTimeout } from "ts-micro/wire/grpc/timeout";
import { decodeTransportMessage, encodeTransportMessage } from "ts-micro/wire/grpc/transport-message";

interface Block {
  readonly dir: string;
  readonly headers: Record<string, string>;
}

/** The header blocks and the bodies by connection, direction and stream of a capture. */
function decoded(name: string): { blocks: Block[]; bodies: Map<string, Buffer> } {
  const blocks: Block[] = [];
  const bodies = new Map<string, Buffer>();
  for (const line of capture(name)["decoded"] as string[]) {
    const data = /^(conn \d+ (?:c>s|s>c)) DATA (stream=\d+) flags=\S+ len=\d+ ?([0-9a-f]*)$/.exec(line);
    const head = /^conn \d+ (c>s|s>c) HEADERS/.exec(line);
    if (data !== null) {
      const key = `${data[1]} ${data[2]}`;
      bodies.set(key, Buffer.concat([bodies.get(key) ?? Buffer.alloc(0), Buffer.from(data[3] ?? "", "hex")]));
    } else if (head !== null) blocks.push({ dir: head[1] as string, headers: {} });
    else {
      const field = /^ {4}(:?[^:]+): (.*)$/.exec(line);
      const last = blocks.at(-1);
      if (field !== null && last !== undefined) last.headers[field[1] as string] = field[2] as string;
    }
  }
  return { blocks, bodies };
}

function framesOf(bytes: Buffer): Buffer[] {
  const out: Buffer[] = [];
  const reader = new FrameReader(4 << 20, (body) => out.push(Buffer.from(body)));
  reader.push(bytes);
  expect(reader.held).toBe(0);
  return out;
}

const names = captureNames(/^v[45]-grpc-/);

describe("gRPC of Go Micro", () => {
  it("has its captures", () => {
    expect(names.length).toBeGreaterThanOrEqual(12);
  });

  it.each(names)("%s: every message is read, and written with the same bytes", (name) => {
    const { bodies } = decoded(name);
    let messages = 0;
    for (const bytes of bodies.values()) {
      const bodiesOf = framesOf(bytes);
      messages += bodiesOf.length;
      expect(Buffer.concat(bodiesOf.map((body) => frame(body)))).toEqual(bytes);
    }
    expect(messages).toBeGreaterThan(0);
  });

  it.each(names)("%s: every path has its endpoint, every timeout is below Go's thirty seconds", (name) => {
    const requests = decoded(name).blocks.filter(({ headers }) => headers[":path"] !== undefined);
    expect(requests.length).toBeGreaterThan(0);
    for (const { headers } of requests) {
      const path = headers[":path"] as string;
      // Go sends what is no endpoint as it was given.
      expect(targetOf(path)?.endpoint ?? path).toMatch(/^[A-Z]\w*\.[A-Z]\w*$|^[^/]*$/);
      const timeout = headers["grpc-timeout"];
      if (timeout === undefined) continue;
      expect(decodeTimeout(timeout)).toBeGreaterThan(29_000);
      expect(decodeTimeout(timeout)).toBeLessThanOrEqual(30_000);
    }
  });

  it.each(["v4-grpc-errors", "v5-grpc-errors"])("%s: status is read, and written with the same bytes", (name) => {
    const trailers = decoded(name).blocks.flatMap(({ headers }) => (headers["grpc-status"] ? [headers] : []));
    const detailed = trailers.filter((headers) => headers["grpc-status-details-bin"] !== undefined);
    expect(detailed.length).toBeGreaterThanOrEqual(3);
    for (const headers of detailed) {
      const error = decodeStatus(headers);
      expect(error).toMatchObject({ id: expect.any(String), detail: expect.any(String), layer: "remote" });
      const { "grpc-status": code, "grpc-status-details-bin": details } = encodeStatus(error!);
      expect([code, details]).toEqual([headers["grpc-status"], headers["grpc-status-details-bin"]]);
    }
    const missing = trailers.filter((headers) => headers["grpc-message"]?.startsWith("unknown "));
    expect(missing.length).toBeGreaterThan(0);
    for (const headers of missing) expect(decodeStatus(headers)).toMatchObject({ code: "NOT_FOUND" });
  });

  it.each(["v4-transport-grpc", "v5-transport-grpc"])(
    "%s: messages of the transport keep their header and body",
    (name) => {
      let messages = 0;
      for (const bytes of decoded(name).bodies.values())
        for (const body of framesOf(bytes)) {
          const message = decodeTransportMessage(body);
          expect(message.header["Micro-Id"]).toMatch(/^\d+$/);
          expect(decodeTransportMessage(encodeTransportMessage(message.header, message.body))).toEqual(message);
          messages++;
        }
      expect(messages).toBeGreaterThan(3);
    },
  );
});
