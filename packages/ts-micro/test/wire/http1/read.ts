import { isMicroError } from "ts-micro/errors";
import { expect } from "vitest";
import type { Http1Limits } from "ts-micro/wire/http1/limits";
import type { Http1Message } from "ts-micro/wire/http1/parser";
import { RequestParser, type Http1Request } from "ts-micro/wire/http1/request";
import { ResponseParser, type Http1Response } from "ts-micro/wire/http1/response";

export interface Outcome<M> {
  messages: M[];
  /** Code of the MicroError that ended the reading. */
  code?: string;
  detail?: string;
}

interface Reader {
  push(chunk: Buffer, end: number, lent: boolean): void;
  end(): void;
}

/** What is read of a message. */
export type Read<M extends Http1Message> = Omit<M, "bytes" | "from" | "to" | "lent" | "keep">;

/** `lent`: all pieces come in the same buffer, which is wiped after each. */
type Input = [input: Buffer | string, size?: number, limits?: Http1Limits, lent?: boolean];

export function readRequests(...[input, size, limits, lent]: Input): Outcome<Read<Http1Request>> {
  return read((sink) => new RequestParser(sink, limits), input, size, lent);
}

export function readResponses(...[input, size, limits, lent]: Input): Outcome<Read<Http1Response>> {
  return read((sink) => new ResponseParser(sink, limits), input, size, lent);
}

/** Pushes `input` in pieces of `size` bytes, then FIN. Anything thrown that is no MicroError fails the test. */
function read<M extends Http1Message>(
  open: (sink: { message(message: M): void }) => Reader,
  input: Buffer | string,
  size = Infinity,
  lent = false,
): Outcome<Read<M>> {
  const bytes = Buffer.from(input as string, "latin1");
  const messages: Read<M>[] = [];
  const parser = open({
    message(message) {
      const { bytes, from, to, lent, ...rest } = message;
      expect(message.body).toEqual(bytes.subarray(from, to));
      messages.push({ ...rest, body: lent ? message.keep().bytes : message.body } as unknown as Read<M>);
    },
  });
  const shared = Buffer.alloc(Math.min(size, bytes.length) + 8);
  try {
    for (let at = 0; at < bytes.length; at += size) {
      const piece = Buffer.from(bytes.subarray(at, at + size));
      if (lent) shared.set(piece);
      parser.push(lent ? shared : piece, piece.length, lent);
      shared.fill("\r\n");
    }
    parser.end();
  } catch (error) {
    if (!isMicroError(error)) throw error;
    return { messages, code: error.code, detail: error.detail };
  }
  return { messages };
}
