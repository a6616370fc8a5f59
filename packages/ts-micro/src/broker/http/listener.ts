import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { BrokerMessage } from "../../broker.ts";
import { MicroError, errors, fromUnknown } from "../../errors.ts";
import { exitAmbient } from "../../internal/ambient.ts";
import { endName, parseListenAddress } from "../../internal/net-address.ts";
import type { TlsOptions } from "../../tls.ts";
import { decodeEnvelope } from "../../wire/broker-envelope.ts";
import { encodeError } from "../../wire/error.ts";
import { H } from "../../wire/headers.ts";
import { goId, id } from "./names.ts";

export interface ListenerOptions {
  readonly address: string;
  readonly tls: TlsOptions | undefined;
  /** Largest request body in bytes. */
  readonly maxBody: number;
  /** Takes a message for the subscription `id`; false when it has no such subscription, or no room. */
  readonly take: (nodeId: string, topic: string, message: BrokerMessage) => "taken" | "unknown" | "full";
}

/** The HTTP endpoint of the subscriptions of one broker (wire spec §6.3). */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;

  private constructor(options: ListenerOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    // Go publishers pool connections for long; the default of 5 s would close them under their hands.
    server.keepAliveTimeout = 120_000;
    server.headersTimeout = 20_000;
    server.requestTimeout = 60_000;
    server.on("request", (request, response) => void this.#serve(request, response));
    server.on("connection", (socket: Socket) => socket.unref());
    server.on("clientError", (_error, socket) => {
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", () => socket.destroy());
      else socket.destroy();
    });
  }

  /** @throws MicroError UNAVAILABLE when the address cannot be listened on, BAD_REQUEST when it is none. */
  static async open(options: ListenerOptions): Promise<Listener> {
    const wanted = parseListenAddress(options.address);
    if ("path" in wanted) throw errors.unsupported(id, `the http broker needs a TCP address, not ${options.address}`);
    for (let port = wanted.port; ; port++) {
      const server = await makeServer(options.tls);
      const listener = new Listener(options, server);
      try {
        await exitAmbient(() => listen(server, wanted.host, port));
        server.unref();
        return listener;
      } catch (error) {
        server.close();
        const inUse = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
        if (inUse && port < wanted.last) continue;
        if (inUse)
          throw errors.unavailable(
            id,
            `cannot listen on ${options.address}: the address is in use; another comes from MICRO_BROKER_ADDRESS or else the broker's option \`address\`, and port 0 is one that is free`,
          );
        throw errors.unavailable(id, `cannot listen on ${options.address}: ${(error as Error).message}`, error);
      }
    }
  }

  /** The address bound, `host:port`. */
  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return endName(address, port);
  }

  /** Takes no more connections; idle ones are closed, running requests get their answer. */
  stop(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      // Any web page can send a simple POST to any address; none of our publishers is one.
      if (request.headers.origin !== undefined || request.headers["sec-fetch-site"] !== undefined)
        return this.#fail(response, 403, errors.forbidden(goId, "Forbidden"));
      if (request.method !== "POST") return this.#fail(response, 405, errors.badRequest(goId, "Method not allowed"));
      const body = await read(request, this.#options.maxBody);
      const message = parse(body);
      const topic = message.header[H.topic];
      if (topic === undefined || topic === "")
        return this.#fail(response, 500, errors.internal(goId, "Topic not found"));
      const nodeId = new URLSearchParams(request.url?.split("?")[1] ?? "").get("id") ?? "";
      const taken = this.#options.take(nodeId, topic, message);
      // Go answers 200 for a subscription that it does not have; the mark tells our publishers that another one may have it.
      if (taken !== "taken") response.setHeader(H.refused, "1");
      response.writeHead(taken === "full" ? 503 : 200, { "Content-Length": 0 });
      response.end();
    } catch (error) {
      const failure = fromUnknown(error, goId);
      this.#fail(response, failure.status === 413 ? 413 : 500, failure);
    }
  }

  /** As Go's http.Error: the error's JSON as plain text, with a newline. */
  #fail(response: ServerResponse, status: number, error: MicroError): void {
    if (response.destroyed || response.headersSent) return;
    const body = `${encodeError(error)}\n`;
    // What was not read of the request would be taken for the next one.
    if (!response.req.complete) response.shouldKeepAlive = false;
    response.writeHead(status, {
      "Content-Type": "text/plain; charset=utf-8",
      "X-Content-Type-Options": "nosniff",
      "Content-Length": Buffer.byteLength(body),
    });
    response.end(body);
    response.req.resume();
  }
}

async function makeServer(tls: TlsOptions | undefined): Promise<Server> {
  if (tls === undefined) return createServer();
  const { createServer: createSecure } = await import("node:https");
  return createSecure(tls);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(host === "" ? {} : { host }) }, () => {
      server.off("error", reject);
      server.on("error", () => {});
      resolve();
    });
  });
}

function read(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const tooLarge = (): void =>
      reject(errors.payloadTooLarge(goId, `Error reading request body: more than ${limit} bytes`));
    if (Number(request.headers["content-length"] ?? 0) > limit) return tooLarge();
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) {
        request.removeAllListeners("data");
        chunks.length = 0;
        return tooLarge();
      }
      chunks.push(chunk);
    });
    request.on("end", () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    request.on("error", (error) => reject(errors.internal(goId, `Error reading request body: ${error.message}`)));
    request.on("close", () => reject(errors.internal(goId, "Error reading request body: unexpected EOF")));
  });
}

function parse(body: Buffer): BrokerMessage {
  try {
    return decodeEnvelope(body);
  } catch (error) {
    throw errors.internal(goId, `Error parsing request body: ${fromUnknown(error).detail}`, error);
  }
}
