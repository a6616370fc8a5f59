import { describe, expect, it } from "vitest";
import { isMicroError } from "ts-micro/errors";
import { RequestParser, type Http1Request } from "ts-micro/wire/http1/request";
import { ResponseParser, type Http1Response } from "ts-micro/wire/http1/response";
import { readRequests, readResponses } from "./read.ts";

const post = "POST / HTTP/1.1\r\n";
const request = (body: string): string => `${post}Content-Length: ${body.length}\r\n\r\n${body}`;

function collect(options: { stopAfter?: number; refuse?: (m: Http1Request) => boolean } = {}): {
  parser: RequestParser;
  bodies: string[];
} {
  const bodies: string[] = [];
  const parser = new RequestParser({
    head: (m) => !(options.refuse?.(m) ?? false),
    message(m) {
      bodies.push(m.body.toString());
      return bodies.length !== options.stopAfter;
    },
  });
  return { parser, bodies };
}

describe("HTTP/1.1 parser", () => {
  it("reads many messages of one chunk in order, and one message of many chunks", () => {
    const bytes = request("one") + request("") + request("three");
    for (const size of [Infinity, 1, 5])
      expect(readRequests(bytes, size).messages.map((m) => m.body.toString())).toEqual(["one", "", "three"]);
  });

  it("gives values as UTF-8 text, with only blanks and tabs trimmed", () => {
    const value = Buffer.from("à la carte → 日本 \u00a0").toString("latin1");
    const { messages } = readRequests(`${post}x-name: \t ${value}\t \r\nX-Empty:\r\nX-Blank:   \r\n\r\n`);
    expect(messages[0]?.headers).toEqual(["X-Name", "à la carte → 日本 \u00a0", "X-Empty", "", "X-Blank", ""]);
  });

  it("takes a header named __proto__ or constructor as any other", () => {
    const { messages } = readRequests(`${post}__proto__: 1\r\nconstructor: 2\r\n\r\n`);
    expect(messages[0]?.headers).toEqual(["__proto__", "1", "Constructor", "2"]);
  });

  it("reads each message by itself although it remembers the lines of the one before", () => {
    const heads = [
      "A: 1\r\nB: 2\r\n",
      "B: 2\r\nB: 3\r\n",
      "A: 1\r\nB: 2\r\nC: 3\r\n",
      "A: 1\r\n",
      "a: 1\r\nB: 22\r\n",
      "A: 1\r\nB: 2\r\nA: 1\r\n",
      "A: \r\nB:2\r\n",
      "AB: 1\r\nB: 2\r\n",
    ];
    const alone = heads.map((h) => readRequests(`${post}${h}\r\n`).messages[0]);
    for (const order of [heads, heads.toReversed(), [...heads, ...heads]])
      expect(readRequests(order.map((h) => `${post}${h}\r\n`).join("")).messages).toEqual(
        order.map((h) => alone[heads.indexOf(h)]),
      );
  });

  it("frames each message by its own length although the lines repeat", () => {
    const bytes = request("ab") + request("ab") + request("abc") + `${post}\r\n` + request("ab");
    expect(readRequests(bytes).messages.map((m) => m.body.toString())).toEqual(["ab", "ab", "abc", "", "ab"]);
  });

  it("tells when the sender ends the connection after the message", () => {
    const close = (line: string, header = ""): boolean | undefined =>
      readRequests(`${line}\r\n${header}\r\n`).messages[0]?.close;
    expect(close("POST / HTTP/1.1")).toBe(false);
    expect(close("POST / HTTP/1.1", "Connection: close\r\n")).toBe(true);
    expect(close("POST / HTTP/1.1", "connection: Close\r\n")).toBe(true);
    expect(close("POST / HTTP/1.1", "Connection: x, close\r\n")).toBe(true);
    expect(close("POST / HTTP/1.1", "Connection: keep-alive\r\n")).toBe(false);
    expect(close("POST / HTTP/1.0")).toBe(true);
    expect(close("POST / HTTP/1.0", "Connection: Keep-Alive\r\n")).toBe(false);
  });

  it("204 and 304 have no body whatever their headers say; a response without length runs until the end", () => {
    const { messages } = readResponses(
      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" +
        "HTTP/1.1 200\r\n\r\nall the rest",
    );
    expect(messages.map((m) => [m.status, m.reason, m.body.toString()])).toEqual([
      [204, "No Content", ""],
      [304, "Not Modified", ""],
      [200, "", "all the rest"],
    ]);
  });

  it("a message cut short by the end of the connection is PROTOCOL, wherever it was cut", () => {
    const whole = `${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n`;
    for (let cut = 1; cut < whole.length; cut++) {
      const { messages, code } = readRequests(whole.slice(0, cut));
      expect([cut, messages.length, code]).toEqual([cut, 0, "PROTOCOL"]);
    }
    expect(readResponses("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").code).toBe("PROTOCOL");
    expect(readResponses("HTTP/1.1 100 Continue\r\n\r\n").code).toBeUndefined();
    expect(readResponses("").messages).toEqual([]);
  });

  it("is dead after an error: it repeats that error, delivers nothing more and keeps no bytes", () => {
    const { parser, bodies } = collect();
    const first = thrown(() => parser.push(Buffer.from(`${request("a")}\0bad`)));
    expect(isMicroError(first)).toBe(true);
    expect(thrown(() => parser.push(Buffer.from(request("b"))))).toBe(first);
    parser.end();
    parser.resume();
    expect(parser.takeRest()).toHaveLength(0);
    expect(bodies).toEqual(["a"]);
  });

  it("refuses bytes after the end", () => {
    const { parser, bodies } = collect();
    parser.end();
    expect(thrown(() => parser.push(Buffer.from(request("a"))))).toMatchObject({ code: "PROTOCOL" });
    expect(bodies).toEqual([]);
  });

  it("is idle only between messages", () => {
    const { parser } = collect();
    const bytes = Buffer.from(request("ab"));
    const idle: boolean[] = [parser.idle];
    for (const byte of bytes) {
      parser.push(Buffer.from([byte]));
      idle.push(parser.idle);
    }
    expect(idle).toEqual([true, ...Array.from({ length: bytes.length - 1 }, () => false), true]);
  });
});

describe("pausing at a message boundary", () => {
  it("a message answered with false is the last one; the rest can be taken from there", () => {
    for (const size of [1000, 1]) {
      const { parser, bodies } = collect({ stopAfter: 2 });
      const bytes = Buffer.from(request("a") + request("b") + request("c") + "GET /next");
      for (let at = 0; at < bytes.length; at += size) parser.push(Buffer.from(bytes.subarray(at, at + size)));
      expect([parser.paused, bodies]).toEqual([true, ["a", "b"]]);
      expect(parser.takeRest().toString()).toBe(`${request("c")}GET /next`);
      expect(parser.takeRest()).toHaveLength(0);
    }
  });

  it("a head answered with false stays unread, with its body and what follows", () => {
    for (const size of [1000, 1]) {
      const { parser, bodies } = collect({ refuse: (m) => m.headers.includes("X-Plain") });
      const plain = `GET /health HTTP/1.1\r\nX-Plain: 1\r\nContent-Length: 2\r\n\r\nhi`;
      const bytes = Buffer.from(request("a") + plain + request("b"));
      for (let at = 0; at < bytes.length; at += size) parser.push(Buffer.from(bytes.subarray(at, at + size)));
      expect([parser.paused, bodies]).toEqual([true, ["a"]]);
      expect(parser.takeRest().toString()).toBe(plain + request("b"));
    }
  });

  it("resume goes on with the bytes that came meanwhile, one boundary at a time", () => {
    const bodies: string[] = [];
    const parser = new RequestParser({ message: (m) => (bodies.push(m.body.toString()), false) });
    parser.push(Buffer.from(request("a") + request("b")));
    parser.push(Buffer.from(request("c").slice(0, 10)));
    parser.resume();
    expect(bodies).toEqual(["a", "b"]);
    parser.resume();
    expect([bodies.length, parser.paused]).toEqual([2, false]);
    parser.push(Buffer.from(request("c").slice(10)));
    expect([bodies, parser.paused]).toEqual([["a", "b", "c"], true]);
    parser.resume();
    parser.end();
    expect(parser.idle).toBe(true);
  });

  it("an end that came while paused is judged when the parser gets there", () => {
    const bodies: string[] = [];
    const parser = new ResponseParser({ message: (m) => (bodies.push(m.body.toString()), bodies.length > 1) });
    parser.push(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\nrest"));
    parser.end();
    expect(bodies).toEqual(["a"]);
    parser.resume();
    expect(bodies).toEqual(["a", "rest"]);

    const cut = new RequestParser({ message: () => false });
    cut.push(Buffer.from(`${request("a")}POST`));
    cut.end();
    expect(thrown(() => cut.resume())).toMatchObject({ code: "PROTOCOL" });
  });

  it("pausing after each of very many messages in one chunk takes linear time", () => {
    let count = 0;
    const parser = new RequestParser({ message: () => (count++, false) });
    parser.push(Buffer.from(`${post}\r\n`.repeat(200_000)));
    while (parser.paused) parser.resume();
    expect(count).toBe(200_000);
  });
});

function thrown(step: () => void): unknown {
  try {
    step();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

it("a chunk that is lent may be written into afterwards: what is kept of it is a copy", () => {
  const kept: Http1Response[] = [];
  const parser = new ResponseParser({ message: (message) => (kept.push(message.keep()), kept.length !== 1) });
  const bytes = Buffer.from(
    `${["one", "two", "three"].map((body) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`).join("")}HTTP/1.1 200`,
  );
  const lent = Buffer.concat([bytes, Buffer.from(" OK\r\n\r\nstale")]);
  parser.push(lent, bytes.length, true);
  lent.fill("x");
  parser.resume();
  expect(kept.map(({ body }) => body.toString())).toEqual(["one", "two", "three"]);
  parser.push(Buffer.from(" OK\r\nContent-Length: 4\r\n\r\nfour"));
  expect(kept[3]?.body.toString()).toBe("four");
});
