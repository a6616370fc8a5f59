/** Plain HTTP requests on HTTP/2, answered by routes as on HTTP/1.1. */
import { connect, constants, type ClientHttp2Session } from "node:http2";
import { afterEach, describe, expect, it } from "vitest";
import { errors } from "../../src/errors.ts";
import type { CallHandler } from "../../src/protocol.ts";
import { grpc, type GrpcOptions } from "../../src/protocol/grpc.ts";
import type { HttpExchange, HttpRoute } from "../../src/server.ts";
import { virtualClock } from "../../src/testing/clock.ts";
import { eventually, within } from "../../src/testing/suite.ts";
import { bareSocket, closing, headFrame, http2Frame } from "../protocol/grpc-bare.ts";
import { mount } from "../protocol/over-http.ts";

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const noCalls: CallHandler = {
  kindOf: () => undefined,
  supports: () => false,
  unary: () => Promise.resolve({ body: new Uint8Array(0) }),
  stream: () => Promise.resolve(undefined),
  message: () => Promise.resolve(undefined),
};

async function mounted(handle: (exchange: HttpExchange) => Promise<void>, options: GrpcOptions = {}): Promise<string> {
  const route: HttpRoute = { name: "test", match: (_method, path) => path.startsWith("/here"), handle };
  const place = await mount(grpc(options).acceptor!(noCalls, [route]));
  closing.push(place.close);
  return place.address;
}

async function served(
  handle: (exchange: HttpExchange) => Promise<void>,
  options: GrpcOptions = {},
): Promise<ClientHttp2Session> {
  const session = connect(`http://${await mounted(handle, options)}`, { maxSessionMemory: 1024 });
  session.on("error", () => {});
  closing.push(() => session.destroy());
  return session;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  readonly body: string;
  readonly code: number;
}

function ask(session: ClientHttp2Session, headers: object, body?: string): Promise<Answer> {
  return within(
    new Promise((resolve) => {
      const stream = session.request({ ":path": "/here", ...headers }, { endStream: body === undefined });
      let [got, trailers, text]: [Record<string, unknown>, Record<string, unknown>, string] = [{}, {}, ""];
      stream.on("response", (head) => (got = { ...head }));
      stream.on("trailers", (tail) => (trailers = { ...tail }));
      stream.on("data", (chunk: Buffer) => (text += chunk.toString())).on("error", () => {});
      stream.on("close", () =>
        resolve({ status: Number(got[":status"]), headers: got, trailers, body: text, code: stream.rstCode }),
      );
      if (body !== undefined) stream.end(body);
    }),
    "an answer",
  );
}

describe("an HTTP request on HTTP/2", () => {
  it("shows method, path, query, headers and body, and is answered with headers, body and trailers", async () => {
    const seen: unknown[] = [];
    const session = await served(async (exchange) => {
      const { method, path, query, headers } = exchange;
      seen.push(
        method,
        path,
        query,
        headers["x-a"],
        headers["host"],
        Object.keys(headers).some((name) => name[0] === ":"),
      );
      const body = Buffer.from(await exchange.readAll(1000)).toString();
      exchange.head(201, { "Content-Type": "text/plain", Connection: "close" });
      await exchange.write(Buffer.from(`got ${body}`));
      exchange.end(Buffer.from("!"), { "x-end": "yes" });
    });
    const answer = await ask(session, { ":method": "PUT", ":path": "/here/%41?q=1&r", "x-a": "é" }, "text");
    expect(answer).toMatchObject({ status: 201, body: "got text!", trailers: { "x-end": "yes" }, code: 0 });
    expect(answer.headers["content-type"]).toBe("text/plain");
    expect(seen).toEqual([
      "PUT",
      "/here/%41",
      "q=1&r",
      expect.any(String),
      expect.stringContaining("127.0.0.1"),
      false,
    ]);
  });

  it("is 404 without a route, the error's status when the handler throws before it began, cut off after", async () => {
    const session = await served(async (exchange) => {
      if (exchange.query === "late") {
        exchange.head(200, {});
        await exchange.write(Buffer.from("half"));
      }
      throw errors.conflict("test", "sold");
    });
    // In the form that they have on HTTP/1.1.
    const { body, ...missing } = await ask(session, { ":path": "/there" });
    expect(missing).toMatchObject({ status: 404, headers: { "content-type": "application/json" } });
    expect(JSON.parse(body)).toMatchObject({ code: 404, detail: "GET /there: nothing is served here" });
    const thrown = await ask(session, {});
    expect(thrown.status).toBe(409);
    expect(JSON.parse(thrown.body)).toEqual({ id: "test", code: 409, detail: "sold", status: "Conflict" });
    expect(await ask(session, { ":path": "/here?late" })).toMatchObject({
      status: 200,
      code: constants.NGHTTP2_INTERNAL_ERROR,
    });
  });

  it("goes on with the next one when the body of one was not read", async () => {
    let asked = 0;
    const session = await served(async (exchange) => {
      asked++;
      exchange.head(200, {});
      exchange.end(Buffer.from("early"));
    });
    for (let turn = 0; turn < 4; turn++) {
      const body = "x".repeat(1 << 20);
      expect(await ask(session, { ":method": "POST" }, body)).toMatchObject({ status: 200, body: "early" });
    }
    expect(asked).toBe(4);
  });

  it("has text beyond ASCII in its headers as UTF-8, and no line ends", async () => {
    const session = await served(async (exchange) => {
      exchange.head(200, { "x-text": "zoë €\r\nx: y", "no token": "x" });
      exchange.end();
    });
    const { headers } = await ask(session, {});
    expect(Buffer.from(headers["x-text"] as string, "latin1").toString()).toBe("zoë €  x: y");
    expect(Object.keys(headers)).not.toContain("no token");
  });

  it("has a limit on the whole body, and tells its handler that the client has gone", async () => {
    const reasons: unknown[] = [];
    const session = await served(async (exchange) => {
      if (exchange.query === "stay") {
        await new Promise<void>((resolve) => exchange.cancellation.onCancel(() => resolve()));
        reasons.push(
          exchange.cancellation.reason?.code,
          await exchange.read().catch((error: { code: string }) => error.code),
        );
        return;
      }
      await exchange.readAll(10);
    });
    expect(await ask(session, { ":method": "POST" }, "x".repeat(11))).toMatchObject({ status: 413 });
    const stream = session.request({ ":path": "/here?stay", ":method": "POST" });
    stream.on("error", () => {}).write("a");
    await new Promise((resolve) => session.ping(() => resolve(undefined)));
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually(() => reasons.length === 2, "the handler hears of it");
    expect(reasons[0]).toBe("CONNECTION_LOST");
  });

  it("may take two minutes to arrive, where its whole body is wanted", async () => {
    const clock = virtualClock();
    let begun = 0;
    const session = await served(async (exchange) => (begun++, void (await exchange.readAll(1000))), { clock });
    const stream = session.request({ ":method": "POST", ":path": "/here" }, { endStream: false });
    const answered = new Promise((resolve) => stream.once("response", (head) => resolve(head[":status"])));
    stream.on("error", () => {}).write("half of ");
    await eventually(() => begun === 1, "it begins");
    await clock.advance(119_000);
    expect(begun).toBe(1);
    await clock.advance(2000);
    expect(await within(answered, "an answer")).toBe(408);
  });

  it("shares 256 MiB with all others that are kept until they are whole", { timeout: 60_000 }, async () => {
    const session = await served(async (exchange) => {
      const body = await exchange.readAll(100 << 20);
      exchange.head(200, {});
      exchange.end(Buffer.from(String(body.length)));
    });
    for (let round = 0; round < 2; round++) {
      const statuses: unknown[] = [];
      const streams = [80, 80, 80, 80].map((size) => {
        const stream = session.request({ ":method": "POST", ":path": "/here" }, { endStream: false });
        stream.on("error", () => {}).on("response", (head) => statuses.push(head[":status"]));
        stream.write(Buffer.alloc(size << 20));
        return stream;
      });
      await eventually(() => statuses.length > 0, "one is refused");
      expect(statuses).toEqual([429]);
      for (const stream of streams) stream.end();
      await eventually(() => statuses.length === 4, "the others are answered");
      expect(statuses.slice(1)).toEqual([200, 200, 200]);
      for (const stream of streams) stream.destroy();
    }
  });

  it("is not whole when it was reset with NO_ERROR", async () => {
    const ends: unknown[] = [];
    let begun = false;
    const socket = bareSocket(
      await mounted(async (exchange) => {
        begun = true;
        await exchange.readAll(10).then(
          () => ends.push("clean"),
          (error: { code: string }) => ends.push(error.code),
        );
      }),
    );
    socket.write(headFrame(1, "/here", "text/plain"), http2Frame(0, 0, 1, Buffer.from("half")));
    await eventually(() => begun, "the request arrives");
    socket.write(http2Frame(3, 0, 1, Buffer.alloc(4)));
    await eventually(() => ends.length > 0, "its body ends");
    expect(ends).toEqual(["CONNECTION_LOST"]);
  });

  it("holds a writer back while its reader is slow", async () => {
    let written = 0;
    const session = await served(async (exchange) => {
      exchange.head(200, {});
      for (; written < 256; written++) await exchange.write(new Uint8Array(64 * 1024));
      exchange.end();
    });
    const stream = session.request({ ":path": "/here" });
    let got = 0;
    stream.pause();
    await eventually(async () => {
      const before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return written > 0 && written === before;
    }, "the writer is held back");
    expect(written).toBeLessThan(200);
    for await (const chunk of stream) got += (chunk as Buffer).length;
    expect(got).toBe(256 * 64 * 1024);
  });
});
