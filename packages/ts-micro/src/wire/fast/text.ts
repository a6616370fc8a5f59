import { errors } from "../../errors.ts";
import { broken, longestEntry, longestMetadata, mostMetadata } from "./frame.ts";

/** What a route table holds. */
export interface RouteText {
  readonly service: string;
  readonly endpoint: string;
  readonly contentType: string;
}

/** Texts of a block: each one followed by a zero byte. */
function joined(texts: Iterable<string>): string {
  let out = "";
  for (const text of texts) {
    if (text.includes("\0"))
      throw errors.badRequest("ts.micro.protocol.fast", `a zero byte in ${JSON.stringify(text.slice(0, 80))}`);
    out += `${text}\0`;
  }
  return out;
}

function parted(block: string): string[] {
  const texts = block.split("\0");
  texts.pop();
  return texts;
}

export function encodeRoute(route: RouteText): string {
  return joined([route.service, route.endpoint, route.contentType]);
}

/** Undefined for a block that is none. */
export function decodeRoute(block: string): RouteText | undefined {
  const [service, endpoint, contentType, ...more] = parted(block);
  if (service === undefined || endpoint === undefined || contentType === undefined || more.length > 0) return undefined;
  return { service, endpoint, contentType };
}

/** Name, value, name, value … */
export function encodeMetadata(entries: Iterable<readonly [string, string]>): string {
  const texts: string[] = [];
  for (const [name, value] of entries) texts.push(name, value);
  return joined(texts);
}

/** Metadata beyond what a call may have are not taken apart. */
export function checkMetadata(bytes: Buffer, from: number, to: number): void {
  const length = to - from;
  if (length <= longestEntry) return;
  let texts = 0;
  if (length <= longestMetadata)
    for (let at = bytes.indexOf(0, from); at >= 0 && at < to; at = bytes.indexOf(0, at + 1)) texts++;
  if (length > longestMetadata || texts > mostMetadata * 2)
    throw broken(`metadata of ${length} bytes and ${texts >> 1} entries`);
}

export function decodeMetadata(block: string): [string, string][] {
  const texts = parted(block);
  const out: [string, string][] = [];
  for (let i = 0; i + 1 < texts.length; i += 2) out.push([texts[i] as string, texts[i + 1] as string]);
  return out;
}
