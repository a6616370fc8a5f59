import type { Acceptor } from "../../protocol.ts";
import type { Http1Limits } from "../../wire/http1/limits.ts";
import { isHttp1 } from "../../wire/http1/preface.ts";
import { RequestParser, type Http1Request } from "../../wire/http1/request.ts";
import type { Wants } from "../../transport.ts";
import type { Settings } from "./options.ts";

const endOfHead = Buffer.from("\r\n\r\n");
/** Up to here a beginning that cannot become a request is told at once, not when its end fails to come. */
const looked = 1024;

export function limitsOf(settings: Settings): Http1Limits {
  return { maxHeadBytes: settings.maxHeader, maxBodyBytes: settings.maxBody };
}

/** Whether a connection begins with HTTP/1.1, and with a head that is wanted. */
export function matcher(settings: Settings, wants: Wants | undefined): Acceptor["match"] {
  return (prefix, seen) => {
    const http1 = isHttp1(prefix);
    return http1 === true && wants !== undefined ? wanted(prefix, seen, wants, settings) : http1;
  };
}

// Asks the parser that will read the connection: two readers of one head could disagree.
function wanted(prefix: Buffer, seen: number, wants: Wants, settings: Settings): boolean | undefined {
  const complete = prefix.indexOf(endOfHead, Math.max(0, seen - 3)) >= 0;
  if (!complete && prefix.length > looked) return prefix.length > settings.maxHeader ? false : undefined;
  let found: boolean | undefined;
  const head = (request: Http1Request): boolean => {
    found ??= wants(request);
    return false;
  };
  try {
    new RequestParser({ head, message: () => false }, limitsOf(settings)).push(prefix);
  } catch {
    return false;
  }
  return found;
}
