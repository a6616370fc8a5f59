import { describe, expect, it } from "vitest";
import { resolveLimits, type Http1Limits } from "ts-micro/wire/http1/limits";
import { RequestParser } from "ts-micro/wire/http1/request";
import { ResponseParser } from "ts-micro/wire/http1/response";
import { readRequests, readResponses } from "./read.ts";

const post = "POST / HTTP/1.1\r\n";
const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`;
const sizes = [Infinity, 1, 10];

function headOf(bytes: number): string {
  const fixed = `${post}X: \r\n\r\n`;
  return `${post}X: ${"x".repeat(bytes - fixed.length)}\r\n\r\n`;
}

/** How reading ends, which must be the same however the bytes are cut; `"ok"` with one message. */
function verdict(input: string, limits: Http1Limits = {}): string {
  const verdicts = sizes.map((size) => {
    const { messages, code } = readRequests(input, size, limits);
    return code ?? (messages.length === 1 ? "ok" : `${messages.length} messages`);
  });
  return [...new Set(verdicts)].join(" or ");
}

describe("limits of one HTTP/1.1 message", () => {
  it("are 1 MiB of head, 4 MiB of body, 2000 headers and 8 KiB of start line unless told otherwise", () => {
    expect(resolveLimits()).toEqual({
      maxHeadBytes: 1_048_576,
      maxBodyBytes: 4_194_304,
      maxHeaders: 2000,
      maxStartLineBytes: 8192,
    });
  });

  it("a head of exactly maxHeadBytes passes, one byte more is PAYLOAD_TOO_LARGE", () => {
    expect(verdict(headOf(200), { maxHeadBytes: 200 })).toBe("ok");
    expect(verdict(headOf(201), { maxHeadBytes: 200 })).toBe("PAYLOAD_TOO_LARGE");
    expect(readRequests(headOf(1 << 20)).messages).toHaveLength(1);
    expect(readRequests(headOf((1 << 20) + 1)).code).toBe("PAYLOAD_TOO_LARGE");
  });

  it("a head without end is refused when it passes the limit, not when it ends", () => {
    const parser = new RequestParser({ message: () => {} }, { maxHeadBytes: 1000 });
    parser.push(Buffer.from(post));
    let pushed = post.length;
    expect(() => {
      for (; pushed < 1_000_000; pushed += 4) parser.push(Buffer.from("a:\r\n"));
    }).toThrow("head above 1000 bytes");
    expect(pushed).toBeLessThan(1010);
  });

  it("a Content-Length of exactly maxBodyBytes passes, one more is PAYLOAD_TOO_LARGE before any of the body is read", () => {
    expect(verdict(`${post}Content-Length: 10\r\n\r\n0123456789`, { maxBodyBytes: 10 })).toBe("ok");
    expect(verdict(`${post}Content-Length: 11\r\n\r\n`, { maxBodyBytes: 10 })).toBe("PAYLOAD_TOO_LARGE");
    expect(readRequests(`${post}Content-Length: 4194305\r\n\r\n`).code).toBe("PAYLOAD_TOO_LARGE");
    expect(readRequests(`${post}Content-Length: ${"9".repeat(400)}\r\n\r\n`).code).toBe("PAYLOAD_TOO_LARGE");
  });

  it("a chunked body is counted over all its chunks, and refused at the size line that passes the limit", () => {
    expect(verdict(`${chunked}5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n`, { maxBodyBytes: 10 })).toBe("ok");
    expect(verdict(`${chunked}5\r\n01234\r\n6\r\n`, { maxBodyBytes: 10 })).toBe("PAYLOAD_TOO_LARGE");
    expect(verdict(`${chunked}ffffffffffffffff\r\n`, { maxBodyBytes: 10 })).toBe("PAYLOAD_TOO_LARGE");
  });

  it("a response that runs until the connection ends is counted as it comes", () => {
    const head = "HTTP/1.1 200 OK\r\n\r\n";
    for (const size of sizes) {
      expect(readResponses(`${head}0123456789`, size, { maxBodyBytes: 10 }).messages[0]?.body.toString()).toBe(
        "0123456789",
      );
      expect(readResponses(`${head}0123456789a`, size, { maxBodyBytes: 10 }).code).toBe("PAYLOAD_TOO_LARGE");
    }
  });

  it("maxHeaders headers pass, one more is PROTOCOL, repeated ones count", () => {
    expect(verdict(`${post}A: 1\r\nB: 2\r\nC: 3\r\n\r\n`, { maxHeaders: 3 })).toBe("ok");
    expect(verdict(`${post}A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n`, { maxHeaders: 3 })).toBe("PROTOCOL");
    expect(verdict(`${post}A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n`, { maxHeaders: 3 })).toBe("PROTOCOL");
    const many = Array.from({ length: 2000 }, (_, i) => `X-${i}: ${i}\r\n`).join("");
    expect(readRequests(`${post}${many}\r\n`).messages[0]?.headers).toHaveLength(4000);
  });

  it("a start line of maxStartLineBytes passes, one byte more is PROTOCOL, also while its end has not come", () => {
    const line = (bytes: number): string => `POST /${"a".repeat(bytes - 15)} HTTP/1.1`;
    expect(verdict(`${line(100)}\r\n\r\n`, { maxStartLineBytes: 100 })).toBe("ok");
    expect(verdict(`${line(101)}\r\n\r\n`, { maxStartLineBytes: 100 })).toBe("PROTOCOL");
    const parser = new RequestParser({ message: () => {} }, { maxStartLineBytes: 100 });
    expect(() => parser.push(Buffer.from(`POST /${"a".repeat(96)}`))).toThrow("start line above 100 bytes");
  });

  it("a method has 32 characters at most", () => {
    expect(verdict(`${"M".repeat(32)} / HTTP/1.1\r\n\r\n`)).toBe("ok");
    expect(verdict(`${"M".repeat(33)} / HTTP/1.1\r\n\r\n`)).toBe("PROTOCOL");
    const parser = new RequestParser({ message: () => {} });
    expect(() => parser.push(Buffer.from("M".repeat(33)))).toThrow("not an HTTP/1 request");
  });

  it("a chunk line has 256 bytes at most, extension included", () => {
    expect(verdict(`${chunked}1;${"x".repeat(252)}\r\na\r\n0\r\n\r\n`)).toBe("ok");
    expect(verdict(`${chunked}1;${"x".repeat(253)}\r\na\r\n0\r\n\r\n`)).toBe("PROTOCOL");
    expect(verdict(`${chunked}${"0".repeat(300)}`)).toBe("PROTOCOL");
  });

  it("a chunked body that is far more framing than data is PROTOCOL, many small chunks are not", () => {
    const small = 20_000;
    const { messages } = readRequests(`${chunked}${"1\r\na\r\n".repeat(small)}0\r\n\r\n`);
    expect(messages[0]?.body).toHaveLength(small);
    const padded = `1;${"x".repeat(200)}\r\na\r\n`;
    expect(verdict(`${chunked}${padded.repeat(80)}0\r\n\r\n`)).toBe("ok");
    expect(verdict(`${chunked}${padded.repeat(100)}0\r\n\r\n`)).toBe("PROTOCOL");
  });

  it("trailers are read and forgotten; above 16 KiB or maxHeaders of them they are refused", () => {
    const trailers = (line: string, n: number): string => `${chunked}0\r\n${line.repeat(n)}\r\n`;
    const { messages } = readRequests(trailers("X-Sum: 1\r\n", 5) + `${post}\r\n`);
    expect(messages.map((m) => m.headers)).toEqual([["Transfer-Encoding", "chunked"], []]);
    expect(verdict(trailers(`X: ${"a".repeat(995)}\r\n`, 16))).toBe("ok");
    expect(verdict(trailers(`X: ${"a".repeat(1100)}\r\n`, 16))).toBe("PAYLOAD_TOO_LARGE");
    expect(verdict(trailers("A: 1\r\n", 4), { maxHeaders: 3 })).toBe("PROTOCOL");
  });

  it("sixteen interim responses may come before a final one", () => {
    const interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(16);
    const { messages } = readResponses(`${interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`.repeat(2));
    expect(messages.map((m) => m.status)).toEqual([200, 200]);
  });

  it("what comes while paused is kept up to the size of one message, then refused", () => {
    const parser = new ResponseParser({ message: () => false }, { maxHeadBytes: 100, maxBodyBytes: 1000 });
    parser.push(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let pushed = 0;
    expect(() => {
      for (; pushed < 100_000; pushed += 50) parser.push(Buffer.alloc(50));
    }).toThrow("more than 1100 bytes while paused");
    expect(pushed).toBeLessThan(1300);
  });

  it("a body announced and never sent costs no memory for it", () => {
    const parsers: RequestParser[] = [];
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 200; i++) {
      const parser = new RequestParser({ message: () => {} });
      parser.push(Buffer.from(`${post}Content-Length: 4194304\r\n\r\nx`));
      parser.push(Buffer.from("y"));
      parsers.push(parser);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
    expect(parsers.every((parser) => !parser.idle)).toBe(true);
  });

  it("a large head, body or chunked body in single bytes takes linear time", () => {
    const body = "b".repeat(700_000);
    expect(readRequests(headOf(200_000), 1).messages).toHaveLength(1);
    expect(readRequests(`${post}Content-Length: 700000\r\n\r\n${body}`, 1).messages[0]?.body.length).toBe(700_000);
    const part = body.slice(0, 0x40000);
    expect(readRequests(`${chunked}40000\r\n${part}\r\n0\r\n\r\n`, 1).messages[0]?.body.length).toBe(0x40000);
    expect(readResponses(`HTTP/1.1 200 OK\r\n\r\n${part}`, 1).messages[0]?.body.length).toBe(0x40000);
  });
});
