import type { HeaderList } from "./headers.ts";
import { malformed } from "./limits.ts";
import { Http1Message, Http1Parser } from "./parser.ts";

export class Http1Response extends Http1Message {
  declare readonly status: number;
  declare readonly reason: string;

  constructor(status: number, reason: string, headers: HeaderList, close: boolean, minor: number) {
    super(headers, close, minor);
    this.status = status;
    this.reason = reason;
  }
}

const pattern = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const prefix = Buffer.from("HTTP/1.");
const maxInterim = 16;

/**
 * Responses to POST off a socket: the client's side (wire spec §2.6). Interim responses (1xx) are skipped, at most 16 in a row; 101 is
 * refused, since nothing here asks for an upgrade. 204 and 304 have no body. Without length and coding the body runs until `end()`.
 */
export class ResponseParser extends Http1Parser<Http1Response> {
  #status = 0;
  #reason = "";
  #interim = 0;

  protected sniff(bytes: Buffer): void {
    for (let i = 0; i < bytes.length && i < prefix.length; i++)
      if (bytes[i] !== prefix[i]) throw malformed("not an HTTP/1 response");
  }

  protected start(line: string): void {
    const match = pattern.exec(line);
    if (match === null) throw malformed("not an HTTP/1 status line");
    this.minor = match[1] === "1" ? 1 : 0;
    this.#status = Number(match[2]);
    this.#reason = match[3] ?? "";
    if (this.#status === 101) throw malformed("101 without a request for an upgrade");
  }

  protected build(headers: HeaderList, close: boolean): Http1Response {
    if (this.#status >= 200) this.#interim = 0;
    else if (++this.#interim > maxInterim) throw malformed(`more than ${maxInterim} interim responses`);
    return new Http1Response(this.#status, this.#reason, headers, close, this.minor);
  }

  protected bodyOf(message: Http1Response): "none" | "until-close" {
    return message.status < 200 || message.status === 204 || message.status === 304 ? "none" : "until-close";
  }

  protected wanted(message: Http1Response): boolean {
    return message.status >= 200;
  }
}
