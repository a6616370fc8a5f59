import { errors } from "./errors.ts";

/** The one that is preferred first. */
const names = ["fast", "mucp", "grpc", "connect", "grpc-web", "http"] as const;
export type ProtocolName = (typeof names)[number];

/**
 * What MICRO_PROTOCOL, MICRO_CLIENT, MICRO_SERVER and the texts of the option `protocols` say, one name or several with commas. Go's word
 * `rpc` is mucp; `auto` stands for all that are not named.
 * @throws MicroError UNSUPPORTED, which lists the names
 */
export function protocolNames(text: string): readonly (ProtocolName | "auto")[] {
  return text.split(",").map((word) => nameOf(word.trim()));
}

function nameOf(word: string): ProtocolName | "auto" {
  if (word === "rpc") return "mucp";
  const found = word === "auto" ? word : names.find((known) => known === word);
  if (found !== undefined) return found;
  throw errors.unsupported("ts-micro", `protocol "${word}" is not known; there are: auto, ${names.join(", ")}`);
}
