import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../fixtures/wire/", import.meta.url));

interface Exchange {
  dir: "c>s" | "s>c";
  hex?: string;
  event?: "fin";
}

interface Packet {
  name: string;
  hex: string;
  decoded: DecodedPacket;
}

export interface DecodedPacket {
  id: number;
  qr: number;
  aa: number;
  questions: { name: string; type: string; class: number }[];
  answers: DecodedRecord[];
  authority: DecodedRecord[];
  additional: DecodedRecord[];
}

export interface DecodedRecord {
  name: string;
  type: string;
  class: number;
  ttl: number;
  priority?: number;
  weight?: number;
  port?: number;
  target?: string;
  address?: string;
  string_lengths?: number[];
  json?: string;
  text?: string[];
}

interface Capture {
  content_type: string;
  request_hex: string;
  response_hex: string;
  exchanges?: Exchange[];
  more_connections?: Exchange[][];
  items?: { what: string; request_hex: string; response_hex: string }[];
  packets?: Packet[];
  [extra: string]: unknown;
}

/** All bytes of one connection, client to server and back. */
export interface Connection {
  readonly name: string;
  readonly request: Buffer;
  readonly response: Buffer;
}

export function capture(name: string): Capture {
  return JSON.parse(readFileSync(`${folder}${name}.json`, "utf8")) as Capture;
}

export function captureNames(pattern: RegExp): string[] {
  const names = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return names.map((file) => file.slice(0, -".json".length)).filter((name) => pattern.test(name));
}

/** The connections of a capture, in the order they were opened. */
export function connections(name: string): Connection[] {
  const { request_hex, response_hex, more_connections, items } = capture(name);
  if (items !== undefined)
    return items.map((item) => ({
      name: `${name}: ${item.what}`,
      request: Buffer.from(item.request_hex, "hex"),
      response: Buffer.from(item.response_hex, "hex"),
    }));
  const first = { name, request: Buffer.from(request_hex, "hex"), response: Buffer.from(response_hex, "hex") };
  const more = (more_connections ?? []).map((exchanges, i) => ({
    name: `${name} connection ${i + 1}`,
    request: bytesOf(exchanges, "c>s"),
    response: bytesOf(exchanges, "s>c"),
  }));
  return [first, ...more];
}

function bytesOf(exchanges: Exchange[], dir: string): Buffer {
  return Buffer.concat(exchanges.filter((e) => e.dir === dir).map((e) => Buffer.from(e.hex ?? "", "hex")));
}
