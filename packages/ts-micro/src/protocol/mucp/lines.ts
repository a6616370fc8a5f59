import { Metadata, type MetadataInit } from "../../metadata.ts";
import type { Route } from "../../protocol.ts";
import { H, isPerHop } from "../../wire/headers.ts";
import { precompile } from "../../wire/http1/encode.ts";
import { nanoseconds } from "./headers.ts";

/** What all calls of a route say, around the id. */
interface Template {
  readonly before: string;
  readonly after: string;
}

const templates = new WeakMap<Route, Template>();

/** The lines of `requestHeader` for a unary call, in its order; `left`: milliseconds, or Infinity. */
export function requestLines(route: Route, sent: MetadataInit | undefined, left: number, id: string): string[] {
  let template = templates.get(route);
  if (template === undefined) templates.set(route, (template = templateOf(route)));
  const { before, after } = template;
  const lines =
    left === Infinity
      ? [before, id, after, id, "\r\n"]
      : ["Timeout: ", nanoseconds(left), "\r\n", before, id, after, id, "\r\n"];
  if (sent !== undefined) lines.unshift(metadataLines(sent));
  return lines;
}

function templateOf({ service, endpoint, contentType }: Route): Template {
  const before = [H.accept, contentType, H.contentType, contentType, H.endpoint, endpoint];
  const after = [H.method, endpoint, H.service, service];
  return {
    before: `${precompile(before).text}${H.id}: `,
    after: `\r\n${precompile(after).text}${H.stream}: `,
  };
}

function metadataLines(sent: MetadataInit): string {
  const lines: string[] = [];
  for (const [name, value] of Metadata.from(sent)) if (!isPerHop(name.toLowerCase())) lines.push(name, value);
  return precompile(lines).text;
}
