import { lstat, link, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { connect, type AddressInfo, type Server } from "node:net";
import { errors, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { hostPort, parseListenAddress } from "../../internal/net-address.ts";

const id = "ts.micro.server";

/**
 * Makes `server` listen; the value is the address with its real port. Of a port range the first free one is taken; a socket file that
 * nobody answers at any more is replaced.
 * @throws MicroError CONFLICT when it is in use, FORBIDDEN without the right, BAD_REQUEST for an address that is none
 */
export async function bind(server: Server, address: string): Promise<string> {
  const wanted = parseListenAddress(address);
  if ("path" in wanted) {
    await bindPath(server, wanted.path);
    return `unix:${wanted.path}`;
  }
  for (let port = wanted.port; ; port++) {
    const failed = await attempt(server, wanted.host === "" ? { port } : { port, host: wanted.host });
    if (failed === undefined) break;
    if (failed.code !== "EADDRINUSE" || port >= wanted.last) throw explain(address, failed);
  }
  const real = server.address() as AddressInfo;
  return hostPort(real.address, real.port);
}

async function bindPath(server: Server, path: string): Promise<void> {
  const failed = await attempt(server, { path });
  if (failed === undefined) return;
  // libuv says EACCES for a folder that does not exist.
  if (failed.code === "EACCES" && (await lstat(dirname(path)).catch(() => undefined)) === undefined)
    throw errors.badRequest(id, `listen unix:${path}: there is no folder ${dirname(path)}`, failed);
  if (failed.code !== "EADDRINUSE" || !(await removeStale(path))) throw explain(`unix:${path}`, failed);
  const again = await attempt(server, { path });
  if (again !== undefined) throw explain(`unix:${path}`, again);
}

function attempt(server: Server, options: object): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      server.off("listening", listening);
      resolve(error);
    };
    const listening = (): void => {
      server.off("error", failed);
      resolve(undefined);
    };
    server.once("error", failed);
    server.once("listening", listening);
    exitAmbient(() => server.listen(options));
  });
}

/** Removes the socket file of a process that is gone. Anything else at that path stays. */
async function removeStale(path: string): Promise<boolean> {
  const before = await lstat(path).catch(() => undefined);
  if (before === undefined) return true;
  if (!before.isSocket() || !(await refuses(path))) return false;
  // Between the probe and here another process may have put its own socket there. The name that we move it to is nobody else's.
  const aside = `${path}.stale-${process.pid}-${performance.now()}`;
  try {
    await rename(path, aside);
  } catch {
    return true;
  }
  const moved = await lstat(aside).catch(() => undefined);
  const stale = moved?.ino === before.ino && moved.dev === before.dev;
  if (!stale) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
  return stale;
}

function refuses(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
}

function explain(address: string, error: NodeJS.ErrnoException): MicroError {
  const where = `listen ${address === "" ? ":0" : address}`;
  switch (error.code) {
    case "EADDRINUSE":
      // Without the cause: it says the same once more, with a stack of Node's own.
      return errors.conflict(
        id,
        `${where}: the address is in use; another comes from MICRO_SERVER_ADDRESS or else the option \`address\`, and port 0 is one that is free`,
      );
    case "EACCES":
    case "EPERM":
      return errors.forbidden(id, `${where}: permission denied`, error);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EINVAL":
    case "ENOTDIR":
      return errors.badRequest(id, `${where}: ${error.message}`, error);
    default:
      return errors.internal(id, `${where}: ${error.message}`, error);
  }
}
