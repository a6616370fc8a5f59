import { isMicroError } from "ts-micro/errors";
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
  push(chunk: Buffer): void;
  end(): void;
}

export function readRequests(input: Buffer | string, size = Infinity, limits?: Http1Limits): Outcome<Http1Request> {
  return read((messages) => new RequestParser(sink(messages), limits), input, size);
}

export function readResponses(input: Buffer | string, size = Infinity, limits?: Http1Limits): Outcome<Http1Response> {
  return read((messages) => new ResponseParser(sink(messages), limits), input, size);
}

function sink<M extends Http1Message>(messages: M[]): { message(message: M): void } {
  return { message: (message) => void messages.push(message) };
}

/** Pushes `input` in pieces of `size` bytes, then FIN. Anything thrown that is no MicroError fails the test. */
function read<M>(open: (messages: M[]) => Reader, input: Buffer | string, size: number): Outcome<M> {
  const bytes = Buffer.from(input as string, "latin1");
  const messages: M[] = [];
  const parser = open(messages);
  try {
    for (let at = 0; at < bytes.length; at += size) parser.push(Buffer.from(bytes.subarray(at, at + size)));
    parser.end();
  } catch (error) {
    if (!isMicroError(error)) throw error;
    return { messages, code: error.code, detail: error.detail };
  }
  return { messages };
}
