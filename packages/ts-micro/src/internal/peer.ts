import { errors } from "../errors.ts";

/**
 * Loads an optional package. `load` is a literal `() => import("name")`, so that tools see it. Rejects with PACKAGE_MISSING, which says what
 * to install, when the package is not there; what a package that is there throws is passed on.
 */
export async function loadPeer<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    const missing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
    // A package whose own dependency is missing is another matter.
    if (!missing || !String(message).includes(`'${name}'`)) throw error;
    throw errors.packageMissing("ts-micro", `the package ${name} is not installed: npm install ${name}`, error);
  }
}
