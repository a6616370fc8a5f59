import type { Attempt, ClientCall, PublishMessageOptions } from "../client.ts";
import { Codecs, type Codec } from "../codec.ts";
import { sleep } from "../clock.ts";
import { Cancellation, parentOf, type CallOptions } from "../context.ts";
import { milliseconds } from "../duration.ts";
import { errors, fromUnknown, isMicroError, type MicroError } from "../errors.ts";
import { backoff } from "../internal/backoff.ts";
import { ambientContext, exitAmbient } from "../internal/ambient.ts";
import { bounded, type Bounds } from "../internal/bounded.ts";
import { nextCallId } from "../internal/call-id.ts";
import { hold, holding, release } from "../internal/hold.ts";
import { tickTime } from "../internal/tick.ts";
import { compile } from "../internal/around.ts";
import { randomUuid } from "../internal/random.ts";
import { RetryBudget } from "../internal/retry-budget.ts";
import { Metadata, ResponseMetadata } from "../metadata.ts";
import type { CallHead, Peer, Reply } from "../protocol.ts";
import type { Node } from "../registry.ts";
import { asks } from "./answer.ts";
import { attemptDue, attemptLimit, isElsewhere, ofCall, reportFailure, retryable, timely, tried } from "./attempts.ts";
import { decodeReply } from "./decode.ts";
import { Directory, type Candidates, type EndpointFacts } from "./nodes.ts";
import type { ClientEngineOptions } from "./options.ts";
import { Peers } from "./peers.ts";
import { prepare, preparedAnew, tooLate, type PreparedCall } from "./prepared.ts";
import { LocalQuick } from "./local-call.ts";
import { QuickCall } from "./quick.ts";
import type { OpenStream } from "./stream.ts";
import { Target, type TypedRoute } from "./target.ts";
import { openLocal } from "./local-stream.ts";
import { openRemote } from "./remote-stream.ts";

const id = "go.micro.client";
const enveloped: Readonly<Record<string, string>> = {
  "application/json": "application/json-rpc",
  "application/protobuf": "application/proto-rpc",
};
/** For how long what a target knows is used without asking the cache, which renews itself when it is asked. In milliseconds. */
const fresh = 1000;
/** Targets of calls without types that are remembered. */
const mostTargets = 10_000;
const noFacts: ReadonlyMap<string, EndpointFacts> = new Map();
/** While interceptors run, what the innermost of them was handed: when they hand it on, nothing need be done behind it. */
let handing = false;
let handed: Promise<unknown> | undefined;

/** Resolves, selects, encodes, sends, decodes, retries. One per client; everything it uses is given to it. */
export class ClientEngine {
  readonly options: ClientEngineOptions;
  readonly codecs: Codecs;
  readonly directory: Directory;
  readonly #peers: Peers;
  readonly #budget: RetryBudget;
  readonly #run: (call: ClientCall) => Promise<unknown>;
  readonly #attempt: (attempt: Attempt) => Promise<unknown>;
  readonly #unlisten: () => void;
  /** Nothing stands around attempts, and nothing redirects calls: a call may go straight. */
  readonly #straight: boolean;
  /** Nor around calls. */
  readonly #bare: boolean;
  readonly #targets = new Map<string, Map<string, Target>>();
  #edition = 0;
  #closed = false;

  constructor(options: ClientEngineOptions) {
    this.options = options;
    this.#budget = new RetryBudget({ clock: options.clock });
    this.codecs = new Codecs(options.codecs);
    this.#peers = new Peers(options.protocols);
    this.directory = new Directory(
      options.registry,
      (node) => this.#peers.speaks(node),
      options.filters,
      options.clock,
      options.protocols.map(({ name }) => name),
    );
    this.#run = compile(options.interceptors, (call) => this.#perform(call as PreparedCall));
    this.#attempt = compile(options.callInterceptors, (attempt) => this.#send(attempt));
    this.#straight = options.callInterceptors.length === 0 && options.proxy === undefined;
    this.#bare = this.#straight && options.interceptors.length === 0;
    this.#unlisten = options.registry.onChange((service) => {
      this.#edition++;
      this.#sweep(service);
    });
  }

  /** The target of calls that come without one. */
  target(service: string, endpoint: string): Target {
    let ofService = this.#targets.get(service);
    if (ofService === undefined) {
      if (this.#targets.size >= mostTargets) this.#targets.clear();
      this.#targets.set(service, (ofService = new Map()));
    }
    let target = ofService.get(endpoint);
    if (target === undefined) {
      if (ofService.size >= mostTargets) ofService.clear();
      ofService.set(endpoint, (target = new Target(service, endpoint, undefined)));
    }
    return target;
  }

  /** What is known of a target's nodes and kind now, without asking. */
  know(target: Target): Candidates | undefined {
    const now = tickTime(this.options.clock);
    if (target.edition === this.#edition && now < target.until) return target.candidates;
    target.candidates = this.directory.peek(target.service);
    target.facts = target.candidates?.facts.get(target.endpoint);
    target.edition = this.#edition;
    target.until = now + fresh;
    return target.candidates;
  }

  /** A unary call to a target. */
  call(target: Target, request: unknown, options: CallOptions | undefined): Promise<unknown> {
    try {
      return (this.#bare ? this.#quick(target, request, options) : undefined) ?? this.#around(target, request, options);
    } catch (error) {
      // Options that make no sense, a selector that throws.
      return Promise.reject(fromUnknown(error, id));
    }
  }

  /** A unary call through the interceptors. */
  #around(target: Target, request: unknown, options: CallOptions | undefined): Promise<unknown> {
    const { clock, requestTimeout } = this.options;
    const { service, endpoint, known } = target;
    const of = { service, endpoint, kind: "unary", request, options, known, target } as const;
    const { call, unlink } = prepare(clock, requestTimeout, of);
    if (call.cancellation?.reason !== undefined) {
      unlink?.();
      return Promise.reject(call.cancellation.reason);
    }
    const { listener } = call;
    let result: Promise<unknown>;
    try {
      handing = true;
      result = this.#run(call);
      const same = result === handed;
      handing = false;
      handed = undefined;
      if (same && unlink === undefined) return result;
      if (listener !== undefined) result = listener.around(result);
    } catch (error) {
      handing = false;
      result = Promise.reject(fromUnknown(error, id));
    }
    hold();
    const settled = (): void => {
      release();
      unlink?.();
    };
    // What the caller gets is what comes of it: a rejection that nobody awaits is reported.
    return result.then(
      (value) => {
        settled();
        return value;
      },
      (error: unknown) => {
        settled();
        throw error;
      },
    );
  }

  /** The call at once and straight, if everything that it needs is at hand. `made`: what it is in the engine's other form. */
  #quick(
    target: Target,
    request: unknown,
    options: CallOptions | undefined,
    made?: PreparedCall,
  ): Promise<unknown> | undefined {
    if (this.#closed) return undefined;
    if (options !== undefined && (options.address !== undefined || options.filters !== undefined || asks(options)))
      return undefined;
    const local = this.options.local?.(target.service);
    if (local !== undefined) {
      const endpoint = target.within(local);
      return endpoint?.kind === "unary"
        ? new LocalQuick(this, target, request, options, made).start(endpoint)
        : undefined;
    }
    const candidates = this.know(target);
    if (candidates === undefined || candidates.nodes.length === 0 || candidates === target.roundabout) return undefined;
    const typed = this.#typed(target, options?.contentType);
    if (typed === undefined) return undefined;
    const node = this.options.selector.select(target.service, candidates.nodes);
    const peer = this.#peers.of(node, target.service);
    if (peer.direct === undefined) {
      target.roundabout = candidates;
      target.chosen = node;
      return undefined;
    }
    this.#budget.request();
    return new QuickCall(this, target, typed, request, options, made).start(peer, node, candidates);
  }

  /** Route and codec; undefined when there is none yet, or one with envelopes. */
  #typed(target: Target, contentType: string | undefined): TypedRoute | undefined {
    if (contentType === undefined && target.usual !== undefined) return target.usual;
    const wanted = contentType ?? (target.request === undefined ? this.options.contentType : "application/protobuf");
    const codec = this.codecs.get(wanted);
    if (codec === undefined || codec.enveloped === true) return undefined;
    if (this.codecs.ready(codec, target.request !== undefined) !== undefined) return undefined;
    const typed = target.of(wanted, codec);
    if (contentType === undefined) target.usual = typed;
    return typed;
  }

  /** Goes on with a call whose first attempt has failed. */
  again(call: PreparedCall, first: Failed): Promise<unknown> {
    return this.#withRetries(call, first);
  }

  /** Whether one more attempt fits the budget, which it is taken out of. */
  mayRetry(): boolean {
    return this.#budget.retry();
  }

  /** Opens a stream, through the interceptors. */
  open(call: ClientCall): Promise<OpenStream> {
    return this.#run(call) as Promise<OpenStream>;
  }

  async publish(topic: string, message: unknown, options: PublishMessageOptions & CallOptions = {}): Promise<void> {
    const { broker, clock } = this.options;
    const contentType = options.contentType ?? this.options.contentType;
    const codec = this.codec(contentType);
    const of = {
      service: "publish",
      endpoint: topic,
      kind: "unary",
      request: message,
      options,
      known: undefined,
    } as const;
    // What a handler tells the world is no part of its answer: unless it hands its context on, it may outlast it.
    const around = parentOf(options) === undefined ? ambientContext() : undefined;
    const { call, unlink } = exitAmbient(() => prepare(clock, Infinity, of));
    const metadata = around?.inherited().metadata ?? new Metadata();
    metadata.merge(call.metadata);
    try {
      const reason = call.cancellation?.reason;
      if (reason !== undefined) throw reason;
      if (call.deadline <= clock.now()) throw tooLate(call);
      const header: Record<string, string> = {};
      for (const [name, value] of metadata.original()) header[name] = value;
      header["Content-Type"] = contentType;
      header["Micro-Topic"] = topic;
      header["Micro-ID"] = randomUuid();
      const body =
        message instanceof Uint8Array
          ? message
          : codec.encode(message, undefined, { type: "event", id: "", endpoint: topic });
      await holding(
        bounded(this.bounds(call), async (signal) =>
          broker.publish(options.exchange ?? topic, { header, body }, { signal }),
        ),
      );
    } finally {
      unlink?.();
    }
  }

  /**
   * Kind of an endpoint by its registry record, asking if need be; undefined when no record tells.
   * And what that took, and what of the time limit is left, in milliseconds.
   */
  async kindOf(service: string, endpoint: string, options: CallOptions | undefined): Promise<Learnt> {
    const { clock, requestTimeout } = this.options;
    const { call, unlink } = prepare(clock, requestTimeout, {
      service,
      endpoint,
      kind: "unary",
      request: undefined,
      options,
      known: undefined,
    });
    try {
      const began = clock.now();
      const { facts } = await holding(Promise.resolve(this.candidates(call)));
      const took = clock.now() - began;
      return { kind: facts.get(endpoint)?.kind, took, left: Math.max(0, call.limit - took) };
    } finally {
      unlink?.();
    }
  }

  /** The codec of a content type. */
  codec(contentType: string): Codec {
    const codec = this.codecs.get(contentType);
    if (codec === undefined) throw errors.unsupported(id, `no codec for content type ${contentType}`);
    return codec;
  }

  /** The content type of a call to a node. A registered node without `protocol` is a Go one of old: it wants envelopes (CLT-38). */
  contentTypeOf(call: PreparedCall, node: Node): string {
    const wanted =
      call.options.contentType ??
      (call.known?.descriptors === undefined ? this.options.contentType : "application/protobuf");
    const legacy = (node.metadata["protocol"] ?? "") === "" && node.id !== node.address;
    return legacy ? (enveloped[wanted] ?? wanted) : wanted;
  }

  head(call: PreparedCall, contentType: string, deadline: number = call.deadline): CallHead {
    return {
      service: call.service,
      endpoint: call.endpoint,
      contentType,
      kind: call.kind,
      deadline,
      metadata: call.metadata,
      id: nextCallId(),
      oneway: call.options.oneway,
      listener: call.listener,
    };
  }

  bounds(call: PreparedCall): Bounds {
    return {
      clock: this.options.clock,
      deadline: call.deadline,
      cancellation: call.cancellation,
      late: () => tooLate(call),
    };
  }

  /** Nodes for a call: by address, by name from what is known, or by asking. */
  candidates(call: PreparedCall): Candidates | Promise<Candidates> {
    if (this.#closed) throw errors.invalidState(id, "the client is closed");
    const { proxy } = this.options;
    const address = call.options.address ?? proxy?.address;
    if (address !== undefined) return { nodes: direct(address), facts: noFacts };
    const service = proxy?.service ?? call.service;
    const known = this.directory.peek(service, call.options.filters);
    if (known !== undefined && known.nodes.length > 0) return known;
    return this.directory.find(
      service,
      call.options.filters,
      milliseconds(call.options.waitFor ?? 0),
      this.bounds(call),
    );
  }

  peer(node: Node, call: PreparedCall): Peer {
    return this.#peers.of(node, this.#found(call));
  }

  /** The service by whose name its nodes were found; undefined for addresses. */
  #found(call: PreparedCall): string | undefined {
    const { proxy } = this.options;
    return (call.options.address ?? proxy?.address) === undefined ? (proxy?.service ?? call.service) : undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unlisten();
    await this.#peers.close();
  }

  #perform(call: PreparedCall): Promise<unknown> {
    const { target, options, by } = call;
    if (options !== by && (options.timeout !== by.timeout || options.signal !== by.signal)) return this.#anew(call);
    // An interceptor may have sent it elsewhere.
    if (
      this.#straight &&
      target !== undefined &&
      target.endpoint === call.endpoint &&
      target.service === call.service
    ) {
      const quick = this.#quick(target, call.request, call.options, call);
      if (handing) handed = quick;
      if (quick !== undefined) return quick;
    }
    const local = call.options.address === undefined ? this.options.local?.(call.service) : undefined;
    if (local === undefined) return call.kind === "unary" ? this.#withRetries(call) : openRemote(this, call);
    const cancellation = new Cancellation();
    const unlink = call.cancellation?.onCancel((reason) => cancellation.cancel(reason));
    if (call.kind !== "unary") return Promise.resolve(openLocal(local, call, cancellation, unlink));
    const { listener } = call;
    const response = listener && new ResponseMetadata();
    return bounded(this.bounds(call), () => local.unary({ ...call, cancellation, response }, call.request)).finally(
      () => {
        unlink?.();
        if (response !== undefined) listener?.local(response);
      },
    );
  }

  /** A call that an interceptor gave other bounds. */
  #anew(given: PreparedCall): Promise<unknown> {
    const { call, unlink } = preparedAnew(this.options.clock, given);
    try {
      if (call.kind === "unary") return this.#perform(call).finally(unlink);
      const over = (unread: boolean): void => {
        unlink();
        call.over?.(unread);
      };
      const opened = this.#perform({ ...call, over });
      opened.catch(unlink);
      return opened;
    } catch (error) {
      unlink();
      throw error;
    }
  }

  /** `first`: the first attempt was made already, in vain. */
  async #withRetries(call: PreparedCall, first?: Failed): Promise<unknown> {
    const { clock, selector } = this.options;
    let excluded: Set<string> | undefined;
    let failed = first;
    if (failed === undefined) this.#budget.request();
    for (let number = 1; ; number++) {
      if (failed === undefined) {
        const found = this.candidates(call);
        const candidates = found instanceof Promise ? await found : found;
        if (clock.now() >= call.deadline) throw tooLate(call);
        const node = chosen(call, candidates) ?? selector.select(call.service, candidates.nodes, excluded);
        const began = clock.now();
        selector.started(call.service, node);
        try {
          const value = await this.#attempt({ call, node, number });
          selector.ended(call.service, node, clock.now() - began);
          return value;
        } catch (error) {
          const failure = isMicroError(error) ? error : fromUnknown(error, id);
          failed = { failure, node, candidates };
          reportFailure(selector, call.service, node, clock.now() - began, failure, call.cancellation);
        }
      }
      const { failure, node, candidates } = failed;
      failed = undefined;
      tried(failure, number);
      const idempotent =
        call.options.idempotent ?? call.known?.idempotent ?? candidates.facts.get(call.endpoint)?.idempotent ?? false;
      const most = call.options.retries ?? this.options.retries;
      const elsewhere = isElsewhere(failure, call.endpoint, candidates);
      if (number > most || !(elsewhere || retryable(failure, idempotent)) || call.cancellation?.reason !== undefined)
        throw failure;
      (excluded ??= new Set()).add(node.id);
      const others = candidates.nodes.some((other) => !excluded?.has(other.id));
      if (elsewhere && !others) throw failure;
      // Another node instead of one that never got the request adds no load; everything else is bounded by the budget.
      const free = (failure.refused || elsewhere) && others && failure.code !== "RESOURCE_EXHAUSTED";
      const pause = others ? 0 : backoff(number, { min: 20, max: 1000 }, this.options.random);
      if (clock.now() + pause >= call.deadline) throw failure;
      if (!free && !this.#budget.retry()) throw failure;
      if (pause > 0) await bounded(this.bounds(call), (signal) => sleep(clock, pause, signal));
      if (!others) excluded.clear();
    }
  }

  async #send(attempt: Attempt): Promise<unknown> {
    const call = attempt.call as PreparedCall;
    call.listener?.reset();
    const contentType = this.contentTypeOf(call, attempt.node);
    const codec = this.codec(contentType);
    const loading = this.codecs.ready(codec, call.known?.descriptors !== undefined);
    if (loading !== undefined) await bounded(this.bounds(call), () => loading);
    const idempotent =
      call.options.idempotent ??
      call.known?.idempotent ??
      this.directory.facts(call.service, call.endpoint)?.idempotent ??
      false;
    const { clock } = this.options;
    const limit = attemptLimit(call.options, this.options.attemptTimeout);
    const due = idempotent ? attemptDue(clock.now(), limit, attempt.number, call.deadline) : call.deadline;
    const head = this.head(call, contentType, due);
    const envelope = codec.enveloped ? { type: "request" as const, id: head.id, endpoint: call.endpoint } : undefined;
    const body = codec.encode(call.request, call.known?.descriptors?.request, envelope);
    let reply: Reply;
    try {
      reply = await this.peer(attempt.node, call).unary(head, body, call.cancellation);
    } catch (error) {
      if (!isMicroError(error)) throw error;
      const heard = timely(error, attempt.node, clock.now(), due, call.deadline);
      throw ofCall(heard, call, error === call.cancellation?.reason ? undefined : attempt.node);
    }
    if (call.options.oneway === true) return undefined;
    return decodeReply(codec, reply.body, call);
  }

  /** A service's nodes changed: those that left need no connections any more. */
  #sweep(service: string): void {
    const records = this.options.registry.peek(service);
    if (records === undefined) return;
    this.#peers.sweep(service, new Set(records.flatMap((record) => record.nodes.map((node) => node.id))));
  }
}

/** What was found out about an endpoint. */
export interface Learnt {
  readonly kind: EndpointFacts["kind"] | undefined;
  readonly took: number;
  readonly left: number;
}

/** The node that was chosen for a call before it was known that it cannot go straight. */
function chosen({ target }: PreparedCall, candidates: Candidates): Node | undefined {
  const node = target?.chosen;
  if (target === undefined || node === undefined) return undefined;
  target.chosen = undefined;
  return candidates === target.roundabout ? node : undefined;
}

/** An attempt that failed, and among which nodes its node was chosen. */
export interface Failed {
  readonly failure: MicroError;
  readonly node: Node;
  readonly candidates: Candidates;
}

/** Nodes of a call that names addresses. Nothing is known of them but that they speak mucp. */
function direct(address: string | readonly string[]): Node[] {
  const list = typeof address === "string" ? [address] : address;
  if (list.length === 0) throw errors.badRequest(id, "address: an empty list");
  return list.map((each) => ({ id: each, address: each, metadata: {} }));
}
