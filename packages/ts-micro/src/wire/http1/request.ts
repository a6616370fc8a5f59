import type { HeaderList } from "./headers.ts";
import { malformed } from "./limits.ts";
import { isTokenByte } from "./names.ts";
import { Http1Message, Http1Parser } from "./parser.ts";

export class Http1Request extends Http1Message {
  declare readonly method: string;
  /** As sent; printable bytes without space. Bytes above 127 stay latin1. */
  declare readonly target: string;

  constructor(method: string, target: string, headers: HeaderList, close: boolean, minor: number) {
    super(headers, close, minor);
    this.method = method;
    this.target = target;
  }
}

const pattern = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/;
const SP = 32;

/** Requests off a socket: the server's side (wire spec §2.5). A request without length and coding has no body. */
export class RequestParser extends Http1Parser<Http1Request> {
  #method = "";
  #target = "";

  protected sniff(bytes: Buffer): void {
    for (let i = 0; i < bytes.length && i <= 32; i++) {
      const code = bytes[i] as number;
      if (code === SP && i > 0) return;
      if (!isTokenByte(code)) throw malformed("not an HTTP/1 request");
    }
    if (bytes.length > 32) throw malformed("not an HTTP/1 request");
  }

  protected start(line: string): void {
    const match = pattern.exec(line);
    if (match === null) throw malformed("not an HTTP/1 request line");
    this.#method = match[1] as string;
    this.#target = match[2] as string;
    this.minor = match[3] === "1" ? 1 : 0;
  }

  protected build(headers: HeaderList, close: boolean): Http1Request {
    return new Http1Request(this.#method, this.#target, headers, close, this.minor);
  }

  protected bodyOf(): "framed" {
    return "framed";
  }

  protected wanted(): boolean {
    return true;
  }
}
