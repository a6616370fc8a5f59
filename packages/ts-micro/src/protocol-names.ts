import { errors } from "./errors.ts";

/** The one that is preferred first. */
const names = ["fast", "mucp", "grpc", "connect", "grpc-web", "http"] as const;
export type ProtocolName = (typeof names)[number];

/**
 * What MICRO_PROTOCOL, MICRO_CLIENT and MICRO_SERVER say (Go's word `rpc` is mucp), one name or several with commas; undefined for `auto`.
 * @throws MicroError UNSUPPORTED, which lists the names
 */
export function protocolNames(text: string | undefined): readonly string[] | undefined {
  if (text === undefined || text === "auto") return undefined;
  return text.split(",").map((word) => (word.trim() === "rpc" ? "mucp" : nameOf(word.trim())));
}

/** @throws MicroError UNSUPPORTED, which lists the names */
export function nameOf(name: string): ProtocolName {
  const found = names.find((known) => known === name);
  if (found !== undefined) return found;
  throw errors.unsupported("ts-micro", `protocol "${name}" is not known; there are: auto, ${names.join(", ")}`);
}
