import { hostname } from "node:os";
import type { Node, ServiceRecord } from "../../registry.ts";
import { parseAddress } from "../../internal/net-address.ts";
import { randomUuid } from "../../internal/random.ts";

/** Registry service under which subscriptions of the http broker are found (wire spec §6.3, v4:broker/http.go). */
export const serviceName = "micro.http.broker";
/** Version of the record of a subscription without a queue. */
export const broadcast = "ff.http.broadcast";
/** Id of the errors that the endpoint answers, as Go writes it. */
export const goId = "go.micro.broker";
export const id = "ts.micro.broker.http";
/** Milliseconds that a registry may take: more than each of several may keep the others waiting. */
export const registryLimit = 12_000;
/** Metadata of ours on nodes that advertise loopback: whose loopback it is. */
const hostKey = "host";

/**
 * `<topic>-<uuid>`, one per subscription: Go's has one uuid per process, by which two subscriptions of a topic get one id. DNS registries
 * allow 63 bytes a label, so a long topic is cut; it stands in full in the metadata.
 */
export function subscriptionId(topic: string): string {
  const labels = topic
    .replace(/[^\w.-]/g, "-")
    .slice(0, 120)
    .split(".");
  const last = (labels.pop() as string).slice(0, 26);
  return `${[...labels.map((label) => label.slice(0, 63)).filter((label) => label !== ""), last].join(".")}-${randomUuid()}`;
}

/** The record of one subscription. */
export function recordOf(
  nodeId: string,
  topic: string,
  queue: string | undefined,
  address: string,
  secure: boolean,
): ServiceRecord {
  const metadata: Record<string, string> = { secure: String(secure), broker: "http", topic };
  if (isLoopback(address)) metadata[hostKey] = hostname();
  return {
    name: serviceName,
    version: queue ?? broadcast,
    metadata: {},
    endpoints: [],
    nodes: [{ id: nodeId, address, metadata }],
  };
}

/**
 * Whether a node can be reached from here. Loopback is the own host's only where its mark says so; Go's nodes have none, and its default is
 * to listen on loopback alone: those are tried (`perhaps`), without a fuss when nobody answers.
 */
export function reachable(node: Node): "yes" | "perhaps" | "no" {
  if (!isLoopback(node.address)) return "yes";
  const host = node.metadata[hostKey];
  if (host === undefined) return "perhaps";
  return host === hostname() ? "yes" : "no";
}

function isLoopback(address: string): boolean {
  try {
    const parsed = parseAddress(address);
    return "host" in parsed && (parsed.host === "localhost" || parsed.host === "::1" || parsed.host.startsWith("127."));
  } catch {
    return false;
  }
}
