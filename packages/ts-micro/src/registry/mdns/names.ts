import { hostname } from "node:os";
import { errors } from "../../errors.ts";
import { escapeLabel, labelsOf } from "../../wire/dns.ts";

/** Metadata of a node whose id has no DNS form: the id. Readers of ours take it out again; Go's see it. */
export const idKey = "ts-id";

/** The names of one domain (wire spec §5.2), in presentation form: letter case counts, dots in a service make more labels. */
export interface Names {
  /** `micro.` */
  readonly domain: string;
  /** `_services.micro.`: asked for a list of all services. */
  readonly list: string;
  /** `_services._dns-sd._udp.micro.`: the same in the words of RFC 6763. */
  readonly types: string;
  /** `vm.`: what SRV records point to, and addresses belong to. */
  readonly host: string;
}

/** @throws MicroError BAD_REQUEST */
export function namesOf(domain: string, host: string = hostname()): Names {
  const suffix = nameOf(domain, "domain");
  return {
    host: hostName(host) ?? `host.${suffix}`,
    domain: suffix,
    list: `_services.${suffix}`,
    types: `_services._dns-sd._udp.${suffix}`,
  };
}

/**
 * `greeter` → `greeter.micro.`
 * @throws MicroError BAD_REQUEST for what has no such name, or one that a Go peer would not recognise as that service.
 */
export function serviceName(names: Names, service: string): string {
  const name = nameOf(service, "service") + names.domain;
  if (name === names.list || name === names.types)
    throw errors.badRequest("mdns", `mdns: service ${service} has the name of the list of services`);
  return name;
}

/** `greeter` → `greeter._services.micro.` */
export function listedName(names: Names, service: string): string {
  return nameOf(service, "service") + names.list;
}

/** The service of a name under `_services.micro.`; undefined for any other name. */
export function listedService(names: Names, name: string): string | undefined {
  return prefixOf(name, `.${names.list}`);
}

/**
 * `greeter-1`, `greeter.micro.` → `greeter-1.greeter.micro.` An id that has no DNS form (a label above 63 bytes: a service name above 26
 * bytes, a dash and a UUID) goes without the name of the service in front, or else as a UUID made from it; `alias` tells that it did.
 * @throws MicroError BAD_REQUEST for a service whose name leaves no room for an id.
 */
export function instanceName(id: string, service: string, parent: string): { name: string; alias: boolean } {
  const short = id.startsWith(`${service}-`) ? id.slice(service.length + 1) : "";
  for (const text of [id, short]) {
    const name = text === "" ? undefined : fitting(text, parent);
    if (name !== undefined) return { name, alias: text !== id };
  }
  const name = fitting(uuidOf(id), parent);
  if (name === undefined) throw errors.badRequest("mdns", `mdns: service ${service} has too long a name for DNS`);
  return { name, alias: true };
}

/** The id in an instance name; undefined when the instance is not one of this service. */
export function instanceId(name: string, parent: string): string | undefined {
  return prefixOf(name, `.${parent}`);
}

function hostName(host: string): string | undefined {
  const name = `${host.split(".").map(escapeLabel).join(".")}.`;
  return host !== "" && valid(name) ? name : undefined;
}

function fitting(id: string, parent: string): string | undefined {
  const name = `${id.split(".").map(escapeLabel).join(".")}.${parent}`;
  return valid(name) ? name : undefined;
}

function valid(name: string): boolean {
  try {
    labelsOf(name);
    return true;
  } catch {
    return false;
  }
}

function prefixOf(name: string, suffix: string): string | undefined {
  if (!name.endsWith(suffix) || name.length === suffix.length) return undefined;
  return labelsOf(name.slice(0, -suffix.length)).join(".");
}

// Space and backslash would be escaped, and Go compares the escaped with the plain.
// oxlint-disable-next-line no-control-regex -- those are what it is for
const unfit = /[\s\0-\x1f\x7f\\]/;

function nameOf(text: string, what: string): string {
  const name = `${text.split(".").map(escapeLabel).join(".")}.`;
  if (text === "" || unfit.test(text) || !valid(name))
    throw errors.badRequest(
      "mdns",
      `mdns: ${what} ${JSON.stringify(text.slice(0, 80))} is no DNS name: labels of 1 to 63 bytes, without spaces and backslashes`,
    );
  return name;
}

function uuidOf(id: string): string {
  const hex = process.getBuiltinModule("node:crypto").createHash("sha256").update(id).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}
