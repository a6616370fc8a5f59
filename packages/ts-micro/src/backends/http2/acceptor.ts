import { LazyAcceptor } from "../../internal/lazy-acceptor.ts";
import type { Acceptor } from "../../protocol.ts";
import type { Http2Server } from "../http2.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** HTTP/2 on a shared port: by its preface, or the TLS name `h2`. `load` makes the server at the first connection. */
export function http2Acceptor(name: string, load: () => Promise<Http2Server>): Acceptor {
  return new LazyAcceptor(name, ["h2"], begins, load);
}

function begins(prefix: Buffer): boolean | undefined {
  const known = Math.min(prefix.length, preface.length);
  if (preface.compare(prefix, 0, known, 0, known) !== 0) return false;
  return known === preface.length ? true : undefined;
}
