import type { Codec, MessageDescriptor } from "../codec.ts";
import type { Route } from "../protocol.ts";
import type { Node } from "../registry.ts";
import type { LocalEndpoint, LocalService } from "../server.ts";
import type { Candidates, EndpointFacts } from "./nodes.ts";
import type { Known } from "./options.ts";

/** One content type of an endpoint. */
export interface TypedRoute {
  readonly route: Route;
  readonly codec: Codec;
}

/** An endpoint as a client knows it, with what was found out about it, so that a call need not look it up again. */
export class Target {
  readonly service: string;
  readonly endpoint: string;
  readonly known: Known | undefined;
  readonly request: MessageDescriptor | undefined;
  readonly response: MessageDescriptor | undefined;
  /** Nodes and facts, as of `edition` of the directory and until `until`. */
  candidates: Candidates | undefined = undefined;
  facts: EndpointFacts | undefined = undefined;
  /** Nodes of which one, at least, cannot be called straight: to choose one in vain would be a choice that the selector counts. */
  roundabout: Candidates | undefined = undefined;
  /** Chosen among them, and not called yet. */
  chosen: Node | undefined = undefined;
  edition = -1;
  until = 0;
  /** For the client's usual content type. */
  usual: TypedRoute | undefined = undefined;
  readonly #others = new Map<string, TypedRoute>();
  #service: LocalService | undefined = undefined;
  #served: LocalEndpoint | undefined = undefined;

  constructor(service: string, endpoint: string, known: Known | undefined) {
    this.service = service;
    this.endpoint = endpoint;
    this.known = known;
    this.request = known?.descriptors?.request;
    this.response = known?.descriptors?.response;
  }

  /** What serves it in this process. */
  within(service: LocalService): LocalEndpoint | undefined {
    if (this.#service === service && this.#served !== undefined) return this.#served;
    this.#service = service;
    return (this.#served = service.endpoint(this.endpoint));
  }

  of(contentType: string, codec: Codec): TypedRoute {
    let typed = this.#others.get(contentType);
    if (typed === undefined) {
      typed = { route: { service: this.service, endpoint: this.endpoint, contentType }, codec };
      this.#others.set(contentType, typed);
    }
    return typed;
  }
}
