import type { Kind } from "../context.ts";
import type { MicroError } from "../errors.ts";
import type { HandlerInterceptor, RoutedEndpoint } from "../server.ts";
import { Dispatch } from "./dispatch.ts";
import { Router } from "./router.ts";

/** The router with what makes each endpoint callable. */
export class Routes {
  readonly #service: string;
  readonly #interceptors: readonly HandlerInterceptor[];
  readonly #router = new Router();
  readonly #dispatches = new Map<string, Dispatch>();

  constructor(service: string, interceptors: readonly HandlerInterceptor[]) {
    this.#service = service;
    this.#interceptors = interceptors;
  }

  add(endpoints: readonly RoutedEndpoint[]): void {
    this.#router.add(endpoints);
    for (const endpoint of endpoints)
      this.#dispatches.set(endpoint.name, new Dispatch(this.#service, endpoint, this.#interceptors));
  }

  get(name: string): Dispatch | undefined {
    return this.#dispatches.get(name);
  }

  kindOf(name: string): Kind | undefined {
    return this.#dispatches.get(name)?.kind;
  }

  all(): RoutedEndpoint[] {
    return [...this.#router.all()];
  }

  missing(name: string): MicroError {
    return this.#router.missing(name);
  }
}
