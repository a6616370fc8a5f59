import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { errors } from "../errors.ts";
import type { Driver } from "./driver.ts";

/** Name → the module that has the driver, not loaded yet. */
export type DriverTable<T> = Readonly<Record<string, () => Promise<{ readonly driver: Driver<T> }>>>;

/** Who reports that a component cannot be chosen. */
const id = "ts-micro.drivers";

/**
 * A driver by its name in the table. A name with a slash or a scope (`@acme/x`, `./x.js`, `file:…`) is a module of the user's own, with the
 * same export `driver`; a path is taken from the working directory. NOT_FOUND lists the names that there are; PACKAGE_MISSING when a named
 * module is not installed; BAD_REQUEST when it has no driver.
 */
export async function loadFrom<T>(concern: string, table: DriverTable<T>, name: string): Promise<Driver<T>> {
  const load = Object.hasOwn(table, name) ? table[name] : undefined;
  if (load !== undefined) return (await load()).driver;
  if (!/[/\\]|^@|^file:/.test(name)) {
    const known = Object.keys(table).join(", ") || "none";
    throw errors.notFound(
      id,
      `no ${concern} is called "${name}"; there are: ${known} (a package or file of your own: "@scope/name", "./file.js")`,
    );
  }
  const loaded = await importModule(concern, name);
  if (!isDriver<T>(loaded["driver"])) {
    throw errors.badRequest(
      id,
      `${name} is no ${concern}: it has no export "driver" with a name and fromAddress(address, env)`,
    );
  }
  return loaded["driver"];
}

async function importModule(concern: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  const path = name.startsWith("file:")
    ? fileURLToPath(name)
    : name.startsWith(".") || isAbsolute(name)
      ? resolve(name)
      : undefined;
  if (path !== undefined && !existsSync(path)) throw errors.packageMissing(id, `the ${concern} ${path} is not there`);
  try {
    return (await import(path === undefined ? name : pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const packageName = name.split("/", name.startsWith("@") ? 2 : 1).join("/");
    // The code of the error also stands for a package that the named one needs in vain.
    if (path === undefined && said.includes(`Cannot find package '${packageName}'`)) {
      throw errors.packageMissing(id, `the ${concern} ${name} is not installed: npm install ${packageName}`, error);
    }
    throw errors.internal(id, `the ${concern} ${name} does not load: ${said}`, error);
  }
}

function isDriver<T>(value: unknown): value is Driver<T> {
  if (typeof value !== "object" || value === null) return false;
  const { name, fromAddress } = value as Partial<Record<keyof Driver<T>, unknown>>;
  return typeof name === "string" && typeof fromAddress === "function";
}
