import { networkInterfaces } from "node:os";
import type { Filter } from "../context.ts";
import type { Node, ServiceRecord } from "../registry.ts";

/** Keeps the records that have an endpoint of this name (`Greeter.Hello`). Mirrors v4:selector/filter.go. */
export function filterEndpoint(name: string): Filter {
  return (services) => services.filter((service) => service.endpoints.some((endpoint) => endpoint.name === name));
}

/** Keeps the nodes whose metadata has this label, and the records that have such nodes. */
export function filterLabel(key: string, value: string): Filter {
  return (services) => withNodes(services, (node) => node.metadata[key] === value);
}

/** Keeps the records of this version: canary, blue and green, A/B. */
export function filterVersion(version: string): Filter {
  return (services) => services.filter((service) => service.version === version);
}

/** Node metadata by which a registry marks nodes of this very host. */
export const sameHostKey = "same-host";

export interface SameHostOptions {
  /** This host's addresses. Default: those of its interfaces, asked for at most once every 10 s. */
  addresses?: (() => Iterable<string>) | undefined;
}

/**
 * Keeps the nodes of this host where a service has any, else all: a loopback address, one of this host's interfaces, a Unix socket, or
 * metadata `same-host=true`. It goes with the default registry pair, where a colleague's service of the same name may answer on the same network.
 */
export function preferSameHost(options: SameHostOptions = {}): Filter {
  const addresses = options.addresses ?? ownAddresses;
  return (services) => {
    const own = new Set(addresses());
    const same = (node: Node): boolean => node.metadata[sameHostKey] === "true" || isSameHost(node.address, own);
    const near = withNodes(services, same);
    return near.length > 0 ? near : services;
  };
}

/** The records with the nodes that `keep`; a record that loses none stays itself, one that loses all goes. */
function withNodes(services: readonly ServiceRecord[], keep: (node: Node) => boolean): readonly ServiceRecord[] {
  const out: ServiceRecord[] = [];
  for (const service of services) {
    const nodes = service.nodes.filter(keep);
    if (nodes.length === service.nodes.length && nodes.length > 0) out.push(service);
    else if (nodes.length > 0) out.push({ ...service, nodes });
  }
  return out;
}

function isSameHost(address: string, own: ReadonlySet<string>): boolean {
  if (address.startsWith("unix:")) return true;
  const host = hostOf(address);
  return host === "localhost" || host === "::1" || host.startsWith("127.") || own.has(host);
}

/** `host:port` without the port and brackets. */
function hostOf(address: string): string {
  if (address.startsWith("[")) return address.slice(1, Math.max(1, address.indexOf("]")));
  const colon = address.lastIndexOf(":");
  return colon < 0 || address.indexOf(":") !== colon ? address : address.slice(0, colon);
}

let known: readonly string[] = [];
let knownUntil = -Infinity;

function ownAddresses(): readonly string[] {
  // Asking the system takes tens of microseconds, and interfaces seldom change.
  const now = performance.now();
  if (now < knownUntil) return known;
  knownUntil = now + 10_000;
  known = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
  return known;
}
