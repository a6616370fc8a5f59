import {
  Agent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import type { Agent as HttpsAgent } from "node:https";
import type { Clock, Timer } from "../../clock.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { leftOf } from "../../internal/left.ts";
import { parseAddress } from "../../internal/net-address.ts";
import type { Node } from "../../registry.ts";
import type { ClientTlsOptions } from "../../tls.ts";
import { H } from "../../wire/headers.ts";
import { id } from "./names.ts";

/**
 * `accepted`: a 2xx. `silent`: sent, no answer in time, as from a Go subscriber whose handler takes long. `unsent`: no handler can have seen
 * it, trying elsewhere or again is safe. `gone`, `full`: the same, said by the peer: it no longer has this subscription, or no room. `held`:
 * the same, but it was not tried: too many wait, or the broker is closed. `lost`: it may have arrived, or never will.
 */
export type Outcome =
  | { readonly kind: "accepted" | "silent" }
  | { readonly kind: "unsent" | "gone" | "full" | "held" | "lost"; readonly error: MicroError };

export interface PosterOptions {
  readonly clock: Clock;
  readonly tls: ClientTlsOptions | undefined;
  /** Milliseconds until the connection must stand. */
  readonly dialTimeout: number;
  /** Milliseconds that the publisher waits for an answer. */
  readonly replyTimeout: number;
}

/** Most requests to one node whose outcome is open: Go answers when its handler is done. Those that are silent do not count. */
const most = 32;
/** Most that wait for their turn at one node, and most bytes of all that wait. */
const room = 1024;
const roomBytes = 64 << 20;
/** Milliseconds after which a request that is silent is torn down: its peer has it, but each keeps a connection. */
const abandon = 15_000;
/**
 * Milliseconds in which some of a long message has to leave. The kernel tells of a third of its buffer at a time: that may be a megabyte, which
 * a slow reader takes a while to read.
 */
const stalled = 60_000;
/** Below the idle limit of any peer, so that it is we who close. */
const idle = 30_000;

/** The requests to one node. */
interface Lane {
  /** Those whose outcome is open. */
  busy: number;
  readonly waiting: (() => void)[];
}

/** POSTs envelopes to nodes over kept connections (wire spec §6.3). */
export class Poster {
  readonly #options: PosterOptions;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 4, timeout: idle });
  readonly #open = new Set<ClientRequest>();
  readonly #lanes = new Map<string, Lane>();
  #sending = 0;
  /** What waits for its turn, by how many nodes' lanes it stands in. */
  readonly #waiting = new Map<Buffer, number>();
  #waitingBytes = 0;
  #secure: { request: typeof httpRequest; agent: HttpsAgent } | undefined;
  #closed = false;

  constructor(options: PosterOptions) {
    this.#options = options;
  }

  /** Requests whose outcome is open. */
  get sending(): number {
    return this.#sending;
  }

  /** Whether a request to this node would have to wait for its turn. */
  busy(node: Node): boolean {
    return (this.#lanes.get(node.id)?.busy ?? 0) >= most;
  }

  /** Never rejects. Waits for its turn for as long as it takes: that says nothing of the node. */
  async post(node: Node, body: Buffer): Promise<Outcome> {
    let lane = this.#lanes.get(node.id);
    if (lane === undefined) this.#lanes.set(node.id, (lane = { busy: 0, waiting: [] }));
    if (lane.busy < most) lane.busy++;
    else if (lane.waiting.length < room && (this.#waiting.has(body) || this.#waitingBytes + body.length <= roomBytes)) {
      this.#keeps(body, 1);
      await new Promise<void>((resolve) => lane.waiting.push(resolve));
      this.#keeps(body, -1);
    } else return { kind: "held", error: errors.resourceExhausted(id, `too much waits for ${node.id} already`) };
    this.#sending++;
    const outcome = await this.#post(node, body);
    this.#sending--;
    const next = lane.waiting.shift();
    if (next !== undefined) next();
    else if (--lane.busy === 0) this.#lanes.delete(node.id);
    return outcome;
  }

  #keeps(body: Buffer, more: 1 | -1): void {
    const before = this.#waiting.get(body) ?? 0;
    if (before + more === 0) this.#waiting.delete(body);
    else this.#waiting.set(body, before + more);
    if (before === 0) this.#waitingBytes += body.length;
    else if (before + more === 0) this.#waitingBytes -= body.length;
  }

  async #post(node: Node, body: Buffer): Promise<Outcome> {
    try {
      const parsed = parseAddress(node.address);
      if ("path" in parsed) throw errors.unsupported(id, `cannot POST to ${node.address}`);
      const secure = node.metadata["secure"] === "true";
      const via = secure ? await this.#https() : { request: httpRequest, agent: this.#agent };
      if (this.#closed) return { kind: "held", error: errors.invalidState(id, "the broker is closed") };
      return await exitAmbient(() =>
        this.#send(via.request, node, body, {
          ...(secure ? this.#options.tls : {}),
          agent: via.agent,
          host: parsed.host,
          port: parsed.port,
          method: "POST",
          path: `/?id=${encodeURIComponent(node.id)}`,
          headers: { "Content-Type": "application/json", "Content-Length": body.length },
        }),
      );
    } catch (error) {
      return { kind: "lost", error: fromUnknown(error, id) };
    }
  }

  /** Closes the connections; requests without an answer are torn down, those that wait are held. */
  close(): void {
    this.#closed = true;
    for (const request of this.#open) request.destroy();
    this.#agent.destroy();
    this.#secure?.agent.destroy();
  }

  #send(open: typeof httpRequest, node: Node, body: Buffer, options: RequestOptions): Promise<Outcome> {
    const { clock, dialTimeout, replyTimeout } = this.#options;
    return new Promise((resolve) => {
      const request = open(options);
      this.#open.add(request);
      let sent = false;
      const where = `${node.id} at ${node.address}`;
      const dropped = (why: unknown): Outcome => {
        const detail = `${where}: ${why instanceof Error ? why.message : String(why)}`;
        return sent
          ? { kind: "lost", error: errors.connectionLost(id, detail, why) }
          : { kind: this.#closed ? "held" : "unsent", error: errors.unavailable(id, detail, why) };
      };
      let timer: Timer | undefined;
      const wait = (ms: number, then: () => void): void => {
        if (timer !== undefined) clock.cancel(timer);
        timer = clock.after(ms, then);
      };
      const silent = (): void => {
        resolve({ kind: "silent" });
        wait(abandon, () => request.destroy());
      };
      request.on("socket", (socket) => {
        // What is pending holds the process by itself, for as long as somebody waits.
        socket.unref();
        let left = 0;
        // What is long takes its time, as long as some of it leaves.
        const leaves = (): void => {
          if (leftOf(socket) === left) return void request.destroy(new Error("it does not read"));
          left = leftOf(socket);
          wait(stalled, leaves);
        };
        const connected = (): void => {
          sent = true;
          left = leftOf(socket);
          if (request.writableFinished) wait(replyTimeout, silent);
          else wait(stalled, leaves);
        };
        request.on("finish", () => wait(replyTimeout, silent));
        if (!socket.connecting) return connected();
        socket.once(options.agent === this.#agent ? "connect" : "secureConnect", connected);
        wait(dialTimeout, () => {
          resolve(dropped("no connection in time"));
          request.destroy();
        });
      });
      request.on("response", (response) => {
        resolve(judge(response, where));
        drain(response);
      });
      request.on("error", (error) => resolve(dropped(error)));
      request.on("close", () => {
        if (timer !== undefined) clock.cancel(timer);
        this.#open.delete(request);
        resolve(dropped("closed"));
      });
      request.end(body);
    });
  }

  async #https(): Promise<{ request: typeof httpRequest; agent: HttpsAgent }> {
    if (this.#secure === undefined) {
      const { Agent: SecureAgent, request } = await import("node:https");
      this.#secure ??= {
        request,
        agent: new SecureAgent({ keepAlive: true, maxFreeSockets: 4, timeout: idle }),
      };
    }
    return this.#secure;
  }
}

function judge(response: IncomingMessage, where: string): Outcome {
  const status = response.statusCode ?? 0;
  if (response.headers[H.refused.toLowerCase()] !== undefined)
    return {
      kind: status === 200 ? "gone" : "full",
      error: errors.unavailable(id, `${where} ${status === 200 ? "is gone" : "has no room"}`),
    };
  if (status >= 200 && status < 300) return { kind: "accepted" };
  return { kind: "lost", error: errors.unavailable(id, `${where} answered ${status} ${response.statusMessage ?? ""}`) };
}

/** The body says nothing that we need, but the connection can be used again only after it. */
function drain(response: IncomingMessage): void {
  let length = 0;
  response.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > 65_536) response.destroy();
  });
  response.on("error", () => {});
}
