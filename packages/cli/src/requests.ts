import { isUtf8 } from "node:buffer";
import { addAbortSignal } from "node:stream";
import { errors, type MicroError } from "ts-micro";
import { UsageError } from "./command.ts";
import { requestBody } from "./json.ts";

/** Most of one request from standard input, in bytes: what the client sends at most. */
const most = 4 << 20;

/**
 * The one request that `words` say together, `{}` without any; for `-` all that standard input has.
 * @throws MicroError BAD_REQUEST unless it is one JSON object; UsageError for words after `-`
 */
export async function requestOf(words: readonly string[], signal: AbortSignal): Promise<Uint8Array> {
  if (words[0] !== "-") return requestBody(words.join(" ") || "{}");
  if (words.length > 1) throw new UsageError(`- stands for the whole request: unexpected ${JSON.stringify(words[1])}`);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of addAbortSignal(signal, process.stdin) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if ((size += chunk.length) > most) throw tooLong();
  }
  return requestBody(textOf(Buffer.concat(chunks)), "input");
}

function tooLong(): MicroError {
  return errors.badRequest("ts-micro-cli", `the request is longer than ${most >> 20} MiB`);
}

/** Of input, without a mark of byte order. */
function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw errors.badRequest("ts-micro-cli", "standard input is no UTF-8");
  return bytes.toString().replace(/^\uFEFF/, "");
}

/** What a stream sends. */
export interface Requests extends AsyncIterable<Uint8Array> {
  /** How many there are; undefined when nobody knows. */
  readonly count: number | undefined;
}

/**
 * The requests that `words` say, one each; for `-` the lines of standard input, each read when the one before it is dealt with, until `signal` aborts.
 * @throws MicroError BAD_REQUEST unless each is one JSON object: of words at once, of lines when they come
 */
export function requestsOf(words: readonly string[], signal: AbortSignal): Requests {
  if (words.length === 1 && words[0] === "-")
    return { count: undefined, [Symbol.asyncIterator]: () => fromLines(signal) };
  const bodies = words.map((word) => requestBody(word));
  return { count: bodies.length, [Symbol.asyncIterator]: () => fromWords(bodies) };
}

async function* fromWords(bodies: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* bodies;
}

async function* fromLines(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of addAbortSignal(signal, process.stdin) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    for (let end: number; (end = rest.indexOf("\n")) >= 0; rest = rest.subarray(end + 1))
      yield* fromLine(rest.subarray(0, end));
    if (rest.length > most) throw tooLong();
  }
  yield* fromLine(rest);
}

function* fromLine(line: Buffer): Generator<Uint8Array, void, undefined> {
  const text = textOf(line);
  if (text.trim() !== "") yield requestBody(text, "input");
}
