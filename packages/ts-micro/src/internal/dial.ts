import { connect, isIP, type OnReadOpts, type Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Clock } from "../clock.ts";
import { abortReason } from "../context.ts";
import { MicroError } from "../errors.ts";
import { exitAmbient } from "./ambient.ts";
import { parseAddress, type NetAddress } from "./net-address.ts";
import { warnUnverified } from "./unverified.ts";

/** Of one dial. */
export interface SocketOptions {
  /** Clock time; Infinity for `dialTimeout` alone. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
  /** Takes what is read, where it is plain TCP or a Unix socket. */
  readonly onread?: OnReadOpts | undefined;
}

/** Of whoever dials. */
export interface Dialler {
  /** Reports what fails. */
  readonly id: string;
  readonly clock: Clock;
  /** Milliseconds, TLS handshake included. */
  readonly dialTimeout: number;
  /** TLS protocol names to offer, the one wanted most first. */
  readonly alpn: readonly string[];
}

/**
 * Opens a socket to `address`, with TLS when `tls` is given. It does not keep the process alive.
 * @throws MicroError UNAVAILABLE, TIMEOUT, CANCELLED: all of them `refused`, since nothing was sent; BAD_REQUEST for no address
 */
export async function openSocket(
  address: string,
  tls: ConnectionOptions | undefined,
  options: SocketOptions,
  dialler: Dialler,
): Promise<Socket> {
  const target = parseAddress(address);
  const secure = tls === undefined ? undefined : await import("node:tls");
  return new Promise((resolve, reject) => {
    const { id, clock, dialTimeout } = dialler;
    const { signal, deadline } = options;
    const now = clock.now();
    const own = now + dialTimeout;
    const limit = Math.min(own, deadline);
    // The first request's context must not stick to a socket that many will use.
    const socket = exitAmbient(() =>
      tls === undefined || secure === undefined
        ? connect(options.onread === undefined ? place(target) : { ...place(target), onread: options.onread })
        : secure.connect(tlsOptions(target, tls, dialler.alpn)),
    );
    socket.unref().setNoDelay(true).setKeepAlive(true, 60_000);
    const settle = (error?: MicroError): void => {
      clock.cancel(timer);
      signal?.removeEventListener("abort", aborted);
      socket.off(tls === undefined ? "connect" : "secureConnect", connected).off("close", closed);
      if (error === undefined) return resolve(socket);
      socket.destroy();
      reject(error);
    };
    const connected = (): void => settle();
    let cause: Error | undefined;
    const closed = (): void => settle(dialFailure(id, `dial ${address}: ${reason(cause)}`, "UNAVAILABLE", cause));
    const aborted = (): void => settle(abortReason(signal as AbortSignal, id));
    const timer = clock.after(limit - now, () => {
      if (deadline <= own) settle(dialFailure(id, `dial ${address}: no connection within the deadline`, "TIMEOUT"));
      else settle(dialFailure(id, `dial ${address}: no connection within ${dialTimeout} ms`, "UNAVAILABLE"));
    });
    signal?.addEventListener("abort", aborted, { once: true });
    socket.on("error", (error) => (cause = error));
    socket.once(tls === undefined ? "connect" : "secureConnect", connected).once("close", closed);
  });
}

/** Nothing was sent. */
export function dialFailure(id: string, detail: string, code: "UNAVAILABLE" | "TIMEOUT", cause?: Error): MicroError {
  return new MicroError({ id, code, detail, refused: true, cause });
}

function place(target: NetAddress): { host: string; port: number } | { path: string } {
  return "path" in target ? { path: target.path } : { host: target.host, port: target.port };
}

function tlsOptions(target: NetAddress, tls: ConnectionOptions, alpn: readonly string[]): ConnectionOptions {
  if (tls.rejectUnauthorized === false) warnUnverified();
  const options: ConnectionOptions = { ...place(target), ALPNProtocols: [...alpn], ...tls };
  // An IP address is no server name (RFC 6066 §3).
  if (options.servername === undefined && "host" in target && isIP(target.host) === 0) options.servername = target.host;
  return options;
}

// A name with several addresses fails with one error for each, and no text of its own.
function reason(cause: Error | undefined): string {
  if (cause === undefined) return "the connection was closed";
  if (cause instanceof AggregateError) return cause.errors.map((each) => (each as Error).message).join("; ");
  return cause.message;
}
