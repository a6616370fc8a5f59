import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces, type NetworkInterfaceInfo } from "node:os";
import { errors } from "../errors.ts";

/** Where something listens or is dialled. */
export type NetAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** A listen address; `last` is above `port` for a range. `host` empty: every interface. */
export type ListenAddress =
  | { readonly host: string; readonly port: number; readonly last: number }
  | { readonly path: string };

const id = "ts.micro.address";
const longestPath = process.platform === "linux" ? 107 : 103;

/** `host:port`, IPv6 in brackets. */
export function hostPort(host: string, port: number | string): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Reads an address to dial: `host:port`, `[::1]:port`, `unix:/path`.
 * @throws MicroError BAD_REQUEST
 */
export function parseAddress(address: string): NetAddress {
  if (address.startsWith("unix:")) return { path: unixPath(address) };
  const [host, port] = split(address);
  const number = readPort(port);
  if (host === "" || number === undefined || number === 0) throw bad(address, "host:port, [ipv6]:port or unix:/path");
  return { host, port: number };
}

/**
 * Reads an address to listen on: `host:port`, `:port`, `host:0`, `host:5000-6000`, `host`, `unix:/path`, or nothing for `:0`.
 * @throws MicroError BAD_REQUEST
 */
export function parseListenAddress(address: string): ListenAddress {
  if (address.startsWith("unix:")) return { path: unixPath(address) };
  const [host, port] = split(address);
  if (/^\d+$/.test(host) && port === "") throw bad(address, `:${host} for a port of every interface`);
  const [from, to, ...more] = (port === "" ? "0" : port).split("-");
  const first = readPort(from);
  const last = to === undefined ? first : readPort(to);
  if (first === undefined || last === undefined || last < first || more.length > 0)
    throw bad(address, "host:port, :0, host:5000-6000 or unix:/path");
  return { host, port: first, last };
}

/** The host of an address to listen on or advertise; undefined for every interface, nothing, and a Unix socket. */
export function hostOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const parsed = parseListenAddress(address);
  return "path" in parsed || parsed.host === "" ? undefined : parsed.host;
}

/**
 * What a node says of itself (wire spec §2.7, v4:util/addr/addr.go): `advertise`, else the address listened on. A host that stands for
 * every interface becomes the first private address of this machine, else the first public one, else loopback. An advertised host without
 * port gets the port listened on. Unix addresses and queue names stay as they are.
 */
export function advertiseAddress(
  listenAddress: string,
  advertise = "",
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): string {
  const wanted = advertise === "" ? listenAddress : advertise;
  if (wanted.startsWith("unix:")) return wanted;
  const [host, port] = split(wanted);
  const real = port === "" || port === "0" ? portOf(listenAddress) : port;
  const ip = isWildcard(host) ? ownAddress(interfaces, host === "0.0.0.0") : host;
  return real === "" ? ip : hostPort(ip, real);
}

function portOf(address: string): string {
  return address.startsWith("unix:") ? "" : split(address)[1];
}

function isWildcard(host: string): boolean {
  return host === "" || host === "0.0.0.0" || host === "::";
}

function ownAddress(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>, v4only: boolean): string {
  const usable = Object.values(interfaces)
    .flatMap((infos) => infos ?? [])
    .filter((info) => !info.internal && !isLinkLocal(info.address) && (!v4only || info.family === "IPv4"))
    .map((info) => info.address);
  return usable.find(isPrivate) ?? usable[0] ?? "127.0.0.1";
}

// An IPv6 one needs a zone, which no peer could use.
function isLinkLocal(ip: string): boolean {
  return /^fe[89ab]/i.test(ip) || ip.startsWith("169.254.");
}

/** The ranges that Go's util/addr takes for private. */
function isPrivate(ip: string): boolean {
  if (isIPv6(ip)) return /^fd/i.test(ip);
  const [a = 0, b = 0] = ip.split(".").map(Number);
  return a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 100 && b >= 64 && b < 128);
}

/** How a socket names an end of it: IPv4 mapped into IPv6 as IPv4. */
export function endName(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return "";
  const mapped = address.startsWith("::ffff:") ? address.slice(7) : address;
  return hostPort(isIPv4(mapped) ? mapped : address, port);
}

/** Host and port as text; a host without port has `""`. */
function split(address: string): [host: string, port: string] {
  if (address.startsWith("[")) {
    const end = address.indexOf("]");
    const rest = address.slice(end + 1);
    if (end < 0 || (rest !== "" && !rest.startsWith(":"))) throw bad(address, "[ipv6]:port");
    return [address.slice(1, end), rest.slice(1)];
  }
  const colon = address.lastIndexOf(":");
  if (colon < 0) return [address, ""];
  if (address.indexOf(":") !== colon) {
    if (isIPv6(address)) return [address, ""];
    throw bad(address, "brackets around an IPv6 host");
  }
  return [address.slice(0, colon), address.slice(colon + 1)];
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

function unixPath(address: string): string {
  const path = address.slice(5);
  if (path === "") throw bad(address, "unix:/path");
  // A longer one is cut off silently by the system's structure for it.
  if (Buffer.byteLength(path) > longestPath) throw bad(address, `a path of at most ${longestPath} bytes`);
  return path.startsWith("//") ? path.slice(2) : path;
}

function bad(address: string, want: string): Error {
  return errors.badRequest(id, `address ${JSON.stringify(address)}: want ${want}`);
}
