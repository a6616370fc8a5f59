import { errors } from "../../errors.ts";

/** Flag of the frame that carries the trailers: the last one of an answer. */
export const trailerFlag = 0x80;

/** The body of the trailer frame: header lines, without an empty one at the end. Names in lower case; values as headers may be. */
export function encodeTrailers(trailers: Readonly<Record<string, string>>): Buffer {
  let text = "";
  for (const [name, value] of Object.entries(trailers)) text += `${name}: ${value}\r\n`;
  return Buffer.from(text);
}

/** A body of `application/grpc-web-text`: pieces of base64 in a row, each padded, however it is cut. */
export class Base64Reader {
  #rest = "";

  /** The bytes that are whole now. Throws BAD_REQUEST for what is no base64. */
  push(chunk: Buffer): Buffer {
    const text = this.#rest + chunk.toString("latin1");
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    const out: Buffer[] = [];
    for (let at = 0; at < whole;) {
      const pad = text.indexOf("=", at);
      const end = pad < 0 || pad >= whole ? whole : pad - (pad % 4) + 4;
      const piece = text.slice(at, end);
      if (!base64.test(piece)) throw invalid();
      out.push(Buffer.from(piece, "base64"));
      at = end;
    }
    return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
  }

  /** Throws BAD_REQUEST when the body ends here inside of a group. */
  end(): void {
    if (this.#rest !== "") throw invalid();
  }
}

const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

function invalid(): Error {
  return errors.badRequest("go.micro.server", "the body is no base64");
}
