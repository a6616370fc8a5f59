import { MicroError, errors } from "../errors.ts";
import type { RoutedEndpoint } from "../server.ts";

/** Endpoints by exact name, as Go: no case folding. */
export class Router {
  readonly #endpoints = new Map<string, RoutedEndpoint>();
  readonly #groups = new Set<string>();

  add(endpoints: readonly RoutedEndpoint[]): void {
    for (const { name } of endpoints) {
      if (this.#endpoints.has(name)) throw errors.conflict("ts-micro", `the endpoint ${name} is handled already`);
    }
    for (const endpoint of endpoints) {
      this.#endpoints.set(endpoint.name, endpoint);
      this.#groups.add(endpoint.name.slice(0, endpoint.name.indexOf(".")));
    }
  }

  get(name: string): RoutedEndpoint | undefined {
    return this.#endpoints.get(name);
  }

  all(): IterableIterator<RoutedEndpoint> {
    return this.#endpoints.values();
  }

  /** Go's own words for an endpoint that is not there; plain text on the wire (wire spec §1.7, SRV-40). */
  missing(name: string): MicroError {
    const [group, method, ...more] = name.split(".");
    const detail =
      method === undefined || more.length > 0
        ? `rpc: service/endpoint request ill-formed: ${name}`
        : this.#groups.has(group as string)
          ? `rpc: can't find method ${method}`
          : `rpc: can't find service ${group}`;
    const error = new MicroError({ id: "", status: 0, code: "NOT_FOUND", detail });
    error.layer = "router";
    return error;
  }
}
