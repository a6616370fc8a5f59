import { describe, expect, it } from "vitest";
import { readRequests, readResponses } from "./read.ts";

const post = "POST / HTTP/1.1\r\nHost: x\r\n";
const ok = "HTTP/1.1 200 OK\r\n";
// They are refused by themselves, not because the connection ends.
const cut = "connection ended";

// One name each; every one lets two readers of the same bytes see different messages.
const requests: Record<string, string> = {
  "Content-Length beside Transfer-Encoding": `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "Transfer-Encoding beside Content-Length": `${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  "two different Content-Lengths": `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
  "two different Content-Lengths in other letter case": `${post}Content-Length: 1\r\ncontent-length: 2\r\n\r\nab`,
  "a list of Content-Lengths": `${post}Content-Length: 1, 1\r\n\r\na`,
  "an empty Content-Length": `${post}Content-Length:\r\n\r\n`,
  "Content-Length with a plus sign": `${post}Content-Length: +1\r\n\r\na`,
  "Content-Length with a minus sign": `${post}Content-Length: -1\r\n\r\n`,
  "hexadecimal Content-Length": `${post}Content-Length: 0x1\r\n\r\na`,
  "Content-Length with an exponent": `${post}Content-Length: 1e0\r\n\r\na`,
  "Content-Length in other digits": `${post}Content-Length: \xd9\xa1\r\n\r\na`,
  "Content-Length with a blank inside": `${post}Content-Length: 1 1\r\n\r\na`,
  "a transfer coding that is not chunked": `${post}Transfer-Encoding: gzip\r\n\r\n`,
  "chunked among other codings": `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "identity beside chunked": `${post}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n`,
  "chunked twice": `${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
  "Transfer-Encoding twice": `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "an empty Transfer-Encoding": `${post}Transfer-Encoding:\r\n\r\n`,
  "Transfer-Encoding obscured by a vertical tab": `${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
  "Transfer-Encoding in quotes": `${post}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`,
  "Transfer-Encoding in HTTP/1.0": "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a blank before the colon": `${post}Content-Length : 1\r\n\r\na`,
  "a tab before the colon": `${post}Content-Length\t: 1\r\n\r\na`,
  "a folded header": `${post}X: a\r\n b\r\n\r\n`,
  "a folded first header": "POST / HTTP/1.1\r\n Host: x\r\n\r\n",
  "a folded Transfer-Encoding": `${post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`,
  "a header line without a colon": `${post}Content-Length\r\n\r\n`,
  "an empty header name": `${post}: x\r\n\r\n`,
  "a header name with NUL": `${post}Content-Length\0: 1\r\n\r\na`,
  "a header name outside ASCII": `${post}X-\xe9: 1\r\n\r\n`,
  "a header name in brackets": `${post}[X]: 1\r\n\r\n`,
  "NUL in a value": `${post}X: a\0b\r\n\r\n`,
  "a bare CR in a value": `${post}X: a\rContent-Length: 1\r\n\r\n`,
  "a bare LF in a value": `${post}X: a\nContent-Length: 1\r\n\r\n`,
  "another control character in place of the CR of a value": `${post}X: a\0\nContent-Length: 1\r\n\r\na`,
  "another control character in place of the CR of the request line": "POST / HTTP/1.1\0\nHost: x\r\n\r\n",
  "a CR doubled before LF": `${post}X: a\r\r\n\r\n`,
  "a head ended by bare LFs": "POST / HTTP/1.1\nHost: x\n\n",
  "a request line ended by a bare LF": "POST / HTTP/1.1\nHost: x\r\n\r\n",
  "a request line ended by a bare CR": "POST / HTTP/1.1\rHost: x\r\n\r\n",
  "an empty line before the request line": `\r\n${post}\r\n`,
  "empty lines alone": "\r\n\r\n",
  "two blanks in the request line": "POST  / HTTP/1.1\r\n\r\n",
  "a tab in the request line": "POST\t/ HTTP/1.1\r\n\r\n",
  "a blank in the target": "POST /a b HTTP/1.1\r\n\r\n",
  "a request without a version": "POST /\r\n\r\n",
  "a version that is not HTTP/1.0 or 1.1": "POST / HTTP/1.2\r\n\r\n",
  "a version with more digits": "POST / HTTP/1.10\r\n\r\n",
  "an HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "a TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "a chunk size with a sign": chunked("+1\r\na\r\n0\r\n\r\n"),
  "a chunk size with 0x": chunked("0x1\r\na\r\n0\r\n\r\n"),
  "a chunk size with a leading blank": chunked(" 1\r\na\r\n0\r\n\r\n"),
  "an empty chunk size": chunked("\r\na\r\n0\r\n\r\n"),
  "a chunk size of seventeen digits": chunked("00000000000000001\r\na\r\n0\r\n\r\n"),
  "a chunk size past 64 bits": chunked("10000000000000001\r\na\r\n0\r\n\r\n"),
  "a chunk size ended by a bare LF": chunked("1\na\r\n0\r\n\r\n"),
  "a chunk size ended by a bare CR": chunked("1\ra\r\n0\r\n\r\n"),
  "a bare CR in a chunk extension": chunked("1;a\rb\r\na\r\n0\r\n\r\n"),
  "NUL in a chunk extension": chunked("1;a\0\r\na\r\n0\r\n\r\n"),
  "chunk data longer than its size": chunked("1\r\nab\r\n0\r\n\r\n"),
  "chunk data ended by a bare LF": chunked("1\r\na\n0\r\n\r\n"),
  "a trailer without a colon": chunked("0\r\nx\r\n\r\n"),
  "a folded trailer": chunked("0\r\nX: a\r\n b\r\n\r\n"),
  "a trailer ended by a bare LF": chunked("0\r\nX: a\n\r\n"),
};

const responses: Record<string, string> = {
  "Content-Length beside Transfer-Encoding": `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "two different Content-Lengths": `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
  "Content-Length with a plus sign": `${ok}Content-Length: +1\r\n\r\na`,
  "a transfer coding that is not chunked": `${ok}Transfer-Encoding: gzip\r\n\r\n`,
  "a folded header": `${ok}X: a\r\n b\r\n\r\n`,
  "a status of two digits": "HTTP/1.1 20 OK\r\n\r\n",
  "a status of four digits": "HTTP/1.1 2000 OK\r\n\r\n",
  "a status beginning with 0": "HTTP/1.1 020 OK\r\n\r\n",
  "a status with a sign": "HTTP/1.1 +200 OK\r\n\r\n",
  "two blanks before the status": "HTTP/1.1  200 OK\r\n\r\n",
  "NUL in the reason": "HTTP/1.1 200 O\0K\r\n\r\n",
  "HTTP/2 in the status line": "HTTP/2.0 200 OK\r\n\r\n",
  "101 that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
  "interim responses without end": "HTTP/1.1 100 Continue\r\n\r\n".repeat(17),
  "empty lines alone": "\r\n\r\n",
  "something that is not HTTP": "garbage",
  "a gRPC server's SETTINGS frame": "\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0",
};

function chunked(body: string): string {
  return `${post}Transfer-Encoding: chunked\r\n\r\n${body}`;
}

describe("requests that could be read in two ways", () => {
  it.each(Object.entries(requests))("%s is refused as PROTOCOL, in one piece and byte by byte", (_, bytes) => {
    for (const size of [Infinity, 1])
      expect(readRequests(bytes, size)).toEqual({
        messages: [],
        code: "PROTOCOL",
        detail: expect.not.stringContaining(cut),
      });
  });

  it("do not pass behind a good one either, which is delivered", () => {
    for (const [name, bytes] of Object.entries(requests)) {
      const outcome = readRequests(`${post}Content-Length: 1\r\n\r\na${bytes}`);
      expect([name, outcome.messages.length, outcome.code]).toEqual([name, 1, "PROTOCOL"]);
    }
  });
});

describe("responses that could be read in two ways", () => {
  it.each(Object.entries(responses))("%s is refused as PROTOCOL, in one piece and byte by byte", (_, bytes) => {
    for (const size of [Infinity, 1])
      expect(readResponses(bytes, size)).toEqual({
        messages: [],
        code: "PROTOCOL",
        detail: expect.not.stringContaining(cut),
      });
  });
});

describe("what Go's readers take and is not ambiguous", () => {
  it("the same Content-Length twice counts once", () => {
    const { messages } = readRequests(`${post}Content-Length: 2\r\ncontent-length: 2\r\n\r\nab`);
    expect(messages[0]?.headers).toEqual(["Host", "x", "Content-Length", "2"]);
    expect(messages[0]?.body.toString()).toBe("ab");
  });

  it("Chunked in any letter case, and blanks around values", () => {
    const { messages } = readRequests(`${post}transfer-encoding: \t CHUNKED \r\n\r\n1\r\na\r\n0\r\n\r\n`);
    expect(messages[0]?.body.toString()).toBe("a");
  });

  it("of a repeated header the first value holds", () => {
    const { messages } = readRequests(`${post}A: 1\r\nB: 2\r\na: 3\r\n\r\n${post}A: 1\r\nB: 2\r\na: 3\r\n\r\n`);
    for (const m of messages) expect(m.headers).toEqual(["Host", "x", "A", "1", "B", "2"]);
    expect(messages).toHaveLength(2);
  });
});
