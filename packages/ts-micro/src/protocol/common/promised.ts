import type { Cancellation } from "../../context.ts";
import type { MicroError } from "../../errors.ts";
import type { Metadata } from "../../metadata.ts";
import type { CallHead, OutgoingCall, Peer, Reply, ReplyListener, Route } from "../../protocol.ts";

/** A call whose caller wants a promise of bytes. */
export class PromisedCall implements OutgoingCall {
  readonly route: Route;
  readonly cancellation: Cancellation | undefined;
  unlink: (() => void) | undefined = undefined;
  readonly #head: CallHead;
  readonly #body: Uint8Array;
  readonly #resolve: (reply: Reply | Promise<Reply>) => void;
  readonly #reject: (error: MicroError) => void;

  constructor(
    head: CallHead,
    route: Route,
    body: Uint8Array,
    cancellation: Cancellation | undefined,
    resolve: (reply: Reply | Promise<Reply>) => void,
    reject: (error: MicroError) => void,
  ) {
    this.route = route;
    this.cancellation = cancellation;
    this.#head = head;
    this.#body = body;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get due(): number {
    return this.#head.deadline;
  }

  get sent(): Metadata | undefined {
    return this.#head.metadata;
  }

  get oneway(): boolean {
    return this.#head.oneway === true;
  }

  get listener(): ReplyListener | undefined {
    return this.#head.listener;
  }

  body(): Uint8Array {
    return this.#body;
  }

  replied(bytes: Buffer, from: number, to: number): void {
    this.#resolve({ body: Buffer.from(bytes.subarray(from, to)) });
  }

  failed(error: MicroError): void {
    this.#reject(error);
  }

  rerouted(peer: Peer): void {
    this.#resolve(peer.unary(this.#head, this.#body, this.cancellation));
  }
}

// One for all peers, so that a route that comes again is known by identity.
const routes = new Map<string, Map<string, Route>>();

/** The same object for the same route, as far as there are not too many. */
export function routeOf(head: CallHead): Route {
  const key = `${head.service} ${head.endpoint}`;
  let types = routes.get(key);
  if (types === undefined) {
    if (routes.size >= 4096) routes.clear();
    routes.set(key, (types = new Map<string, Route>()));
  }
  let route = types.get(head.contentType);
  if (route === undefined) {
    const { service, endpoint, contentType } = head;
    types.set(contentType, (route = { service, endpoint, contentType }));
  }
  return route;
}
