import type { Kind } from "../../context.ts";
import type { MicroError } from "../../errors.ts";
import { Metadata, ResponseMetadata } from "../../metadata.ts";
import type { Body, CallHandler, CallTarget, ServedCall } from "../../protocol.ts";
import { H } from "../../wire/headers.ts";
import { precompile } from "../../wire/http1/encode.ts";
import { headerRecord, type HeaderList } from "../../wire/http1/headers.ts";
import { addHeader, addTrailer } from "./added.ts";
import { Cancellable } from "../common/cancellable.ts";
import { replyBody } from "./bodies.ts";
import { deadlineAfter, emptyHeader, isOurs, kindHeader, lookup, type Header } from "./headers.ts";
import { originOf, type Origin } from "./reply.ts";

/** Calls that come by `direct`. */
export type DirectHandler = CallHandler & Required<Pick<CallHandler, "target" | "direct">>;

/** Longest head of which a form is kept, in characters. */
const longest = 8192;

/** What differs between the requests of one form. */
const varying = new Set<string>([H.id, H.stream, H.timeout, "Content-Length"]);

/** The header lines of unary requests that go to one target, but for what is each one's own; and what was found out about them. */
export class Form {
  readonly target: CallTarget;
  /** Of one of them. */
  readonly origin: Origin;
  /** What replies begin with. */
  readonly reply: string;
  readonly #headers: HeaderList;
  readonly #varies: readonly boolean[];
  readonly #id: number;
  readonly #stream: number;
  readonly #timeout: number;
  #told: string | undefined;
  /** What it means, in milliseconds. */
  #left = Infinity;

  constructor(headers: HeaderList, origin: Origin, target: CallTarget) {
    this.target = target;
    this.origin = origin;
    this.reply = precompile([H.contentType, origin.contentType]).text;
    this.#headers = headers;
    this.#varies = headers.map((name, i) => i % 2 === 0 && varying.has(name));
    this.#id = headers.indexOf(H.id) + 1;
    this.#stream = headers.indexOf(H.stream) + 1;
    this.#timeout = headers.indexOf(H.timeout) + 1;
  }

  fits(headers: HeaderList): boolean {
    const known = this.#headers;
    if (headers.length !== known.length) return false;
    for (let i = 0; i < known.length; i += 2)
      if (headers[i] !== known[i] || (headers[i + 1] !== known[i + 1] && !this.#varies[i])) return false;
    return true;
  }

  id(headers: HeaderList): string {
    return this.#id === 0 ? "" : (headers[this.#id] as string);
  }

  stream(headers: HeaderList): string {
    return this.#stream === 0 ? "" : (headers[this.#stream] as string);
  }

  deadline(headers: HeaderList, now: number): number {
    if (this.#timeout === 0) return Infinity;
    const text = headers[this.#timeout];
    if (text !== this.#told) {
      this.#told = text;
      this.#left = deadlineAfter(text, 0);
    }
    return now + this.#left;
  }
}

/** The form of this request, if such ones can be answered straight. */
export function formOf(headers: HeaderList, header: Header, calls: DirectHandler): Form | undefined {
  if (header[H.topic] || header[H.error] || header[kindHeader] !== undefined) return undefined;
  // Twins count where the others are empty, which may change.
  if (header["X-Micro-Stream"] !== undefined || header["Micro-ID"] !== undefined) return undefined;
  if (headers.reduce((sum, text) => sum + text.length, 0) > longest) return undefined;
  const origin = originOf(header, lookup(header, H.stream));
  const { service, endpoint, codecType } = origin;
  const kind: Kind | undefined = endpoint === "" ? undefined : calls.kindOf(endpoint);
  if (kind !== "unary" || !calls.supports(codecType)) return undefined;
  const target = calls.target({ service, endpoint, contentType: codecType });
  return target.enveloped === true ? undefined : new Form(headers, origin, target);
}

/** Who sends its reply. */
interface Replying {
  readonly local: string;
  readonly remote: string;
  watched(call: DirectCall): void;
  answer(call: DirectCall, lines: readonly string[], body: Body): void;
  refuse(call: DirectCall, error: MicroError): void;
}

/** A unary call whose request came in a known form. */
export class DirectCall extends Cancellable implements ServedCall {
  // Set by the constructor alone, as in its base.
  declare readonly stream: string;
  declare readonly deadline: number;
  declare isWatched: boolean;
  /** What the handler added, if it did. */
  declare given: ResponseMetadata | undefined;
  declare private readonly owner: Replying;
  declare private readonly form: Form;
  declare private readonly headers: HeaderList;
  declare private made: Metadata | undefined;

  constructor(owner: Replying, form: Form, headers: HeaderList, stream: string, now: number) {
    super();
    this.owner = owner;
    this.form = form;
    this.headers = headers;
    this.stream = stream;
    this.deadline = form.deadline(headers, now);
    this.isWatched = false;
    this.given = undefined;
    this.made = undefined;
  }

  get id(): string {
    return this.form.id(this.headers);
  }

  get origin(): Origin {
    const { id, stream } = this;
    return { ...this.form.origin, id, stream, retries: isOurs(id, stream) };
  }

  get service(): string {
    return this.form.origin.service;
  }

  get endpoint(): string {
    return this.form.origin.endpoint;
  }

  get contentType(): string {
    return this.form.origin.codecType;
  }

  get local(): string {
    return this.owner.local;
  }

  get remote(): string {
    return this.owner.remote;
  }

  get retries(): boolean {
    return isOurs(this.id, this.stream);
  }

  get metadata(): Metadata {
    return (this.made ??= Metadata.received(headerRecord(this.headers))
      .set(H.local, this.local)
      .set(H.remote, this.remote));
  }

  get response(): ResponseMetadata {
    return (this.given ??= new ResponseMetadata());
  }

  override watch(watcher: Parameters<ServedCall["watch"]>[0]): void {
    super.watch(watcher);
    this.isWatched = true;
    this.owner.watched(this);
  }

  reply(body: Body): void {
    const { id, stream, given } = this;
    const lines = [this.form.reply];
    if (id !== "") lines.push("Micro-Id: ", id, "\r\n");
    if (stream !== "" && stream !== id) lines.push("Micro-Stream: ", stream, "\r\n");
    if (given !== undefined) lines.push(precompile(addTrailer(addHeader(emptyHeader(), given), given)).text);
    const whole = body.length === 0 ? replyBody(this.contentType, empty) : body;
    this.owner.answer(this, lines, whole);
  }

  fail(error: MicroError): void {
    this.owner.refuse(this, error);
  }
}

const empty = new Uint8Array(0);
