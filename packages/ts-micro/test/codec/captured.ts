import { headerRecord } from "../../src/wire/http1/headers.ts";
import { RequestParser } from "../../src/wire/http1/request.ts";
import { ResponseParser } from "../../src/wire/http1/response.ts";
import type { Http1Message } from "../../src/wire/http1/parser.ts";
import type { Message } from "../../src/transport.ts";
import { connections } from "../wire/captures.ts";

/** What went over one captured connection, as messages. */
export interface Conversation {
  readonly name: string;
  readonly requests: Message[];
  readonly replies: Message[];
}

/** The conversations of a capture, in the order the connections were opened. */
export function conversations(name: string): Conversation[] {
  return connections(name).map(({ name, request, response }) => ({
    name,
    requests: requestsOf(request),
    replies: repliesOf(response),
  }));
}

/** The first conversation of a capture. */
export function conversation(name: string): Conversation {
  return nth(conversations(name), 0);
}

/** The element that must be there. */
export function nth<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`no element ${index} in a list of ${list.length}`);
  return found;
}

export function requestsOf(bytes: Buffer): Message[] {
  const found: Message[] = [];
  new RequestParser({ message: (message) => void found.push(toMessage(message)) }).push(bytes);
  return found;
}

export function repliesOf(bytes: Buffer): Message[] {
  const found: Message[] = [];
  const parser = new ResponseParser({ message: (message) => void found.push(toMessage(message)) });
  parser.push(bytes);
  parser.end();
  return found;
}

function toMessage({ headers, body }: Http1Message): Message {
  return { header: headerRecord(headers), body: Buffer.from(body) };
}

/** Text of the bodies that are not empty. */
export function texts(messages: readonly Message[]): string[] {
  return messages.filter(({ body }) => body.length > 0).map(({ body }) => Buffer.from(body).toString());
}
