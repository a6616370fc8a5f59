import { constants, readFileSync, readlinkSync } from "node:fs";
import { lstat, open } from "node:fs/promises";
import { errors } from "../../errors.ts";
import type { Node, ServiceRecord } from "../../registry.ts";

/** Largest record file, bytes. */
export const recordLimit: number = 1 << 20;

/** What one registry says: a file of its own. */
export interface LocalRecord {
  readonly id: string;
  /** When the registry was made, ms since 1970: of two that speak of the same node the later one counts. */
  readonly at: number;
  /** The kernel and the network that its addresses are good in; empty where there are no such names. */
  readonly host: Host;
  readonly services: readonly ServiceRecord[];
}

export interface Host {
  readonly boot: string;
  readonly net: string;
}

let host: Host | undefined;

/**
 * Read once, and at once: the kernel answers from memory, which threads of ours would do no sooner.
 * @throws MicroError REGISTRY_UNAVAILABLE when it cannot be read now.
 */
export function thisHost(): Host {
  return (host ??= {
    boot: orNone(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")).trim(),
    net: orNone(() => readlinkSync("/proc/self/ns/net")),
  });
}

function orNone(read: () => string): string {
  try {
    return read();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Taken for no name, it would make a stranger of each peer from then on.
    if (code === "EMFILE" || code === "ENFILE")
      throw errors.registryUnavailable("local", `the local registry cannot read what host this is: ${message}`, error);
    return "";
  }
}

export function encodeRecord(record: LocalRecord): string {
  const { id, at, host, services } = record;
  return JSON.stringify({ v: 1, id, pid: process.pid, at, boot: host.boot, net: host.net, services });
}

/** What a file is known by: another content is another key. */
export interface FileKey {
  readonly key: string;
  readonly mtimeMs: number;
}

/** The key of a record file; undefined for what cannot be one. */
export async function keyOf(path: string): Promise<FileKey | undefined> {
  try {
    const stats = await lstat(path, { bigint: true });
    if (!stats.isFile() || stats.size > BigInt(recordLimit)) return undefined;
    return { key: `${stats.ino}:${stats.mtimeNs}:${stats.size}`, mtimeMs: Number(stats.mtimeMs) };
  } catch {
    return undefined;
  }
}

/** The record in a file; undefined for junk. @throws what says nothing about the file, such as EMFILE. */
export async function readRecord(path: string, id: string): Promise<LocalRecord | undefined> {
  try {
    // A link or a pipe that took the file's place is not followed and not waited for.
    const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    try {
      const stats = await file.stat();
      if (!stats.isFile() || stats.size > recordLimit) return undefined;
      return decodeRecord(JSON.parse(await file.readFile("utf8")), id);
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Not JSON, or gone.
    if (code === undefined || code === "ENOENT") return undefined;
    throw error;
  }
}

function decodeRecord(value: unknown, id: string): LocalRecord | undefined {
  const record = value as {
    v?: unknown;
    id?: unknown;
    at?: unknown;
    boot?: unknown;
    net?: unknown;
    services?: unknown;
  };
  if (typeof value !== "object" || value === null || record.v !== 1 || record.id !== id) return undefined;
  const { at, boot, net, services } = record;
  if (typeof at !== "number" || typeof boot !== "string" || typeof net !== "string") return undefined;
  if (!list(services, isService)) return undefined;
  return { id, at, host: { boot, net }, services };
}

type Check = (value: unknown) => boolean;

function list(value: unknown, item: Check): value is ServiceRecord[] {
  return Array.isArray(value) && value.every(item);
}

function fields(value: unknown, checks: Readonly<Record<string, Check>>): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(checks).every(([name, check]) => check((value as Record<string, unknown>)[name]));
}

const isText: Check = (value) => typeof value === "string";
const isName: Check = (value) => typeof value === "string" && value !== "";
const isMap: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(isText);
const isValue: Check = (value) =>
  value === undefined ||
  fields(value, { name: isText, type: isText, values: (v) => list(v, (w) => w != null && isValue(w)) });
const isNode: Check = (value) => fields(value, { id: isName, address: isText, metadata: isMap });
const isEndpoint: Check = (value) =>
  fields(value, { name: isText, request: isValue, response: isValue, metadata: isMap });
const isService: Check = (value) =>
  fields(value, {
    name: isName,
    version: isText,
    metadata: isMap,
    endpoints: (v) => list(v, isEndpoint),
    nodes: (v) => list(v, isNode),
  });

/** The services that can be reached from here: an address on another network's loopback means something else here. */
export function reachable(record: LocalRecord, here: Host): ServiceRecord[] {
  const near = record.host.boot === here.boot && record.host.net === here.net;
  const services = near
    ? record.services
    : record.services.map((service) => ({ ...service, nodes: service.nodes.filter((node) => !isLoopback(node)) }));
  return services.filter(({ nodes }) => nodes.length > 0);
}

function isLoopback({ address }: Node): boolean {
  return /^(localhost(:|$)|127\.|\[::1\]|\[::ffff:127\.)/i.test(address);
}
