import {
  AllKindsSchema,
  ChatMessageSchema,
  CollectResponseSchema,
  EmptySchema,
  FailRequestSchema,
  HelloRequestSchema,
  HelloResponseSchema,
  SlowRequestSchema,
  SlowResponseSchema,
  StreamRequestSchema,
  StreamResponseSchema,
} from "../../../../interop/proto/gen/greeter_pb.ts";
import { Codecs, type Codec, type Envelope, type MessageDescriptor } from "../../src/codec.ts";
import { bytesCodec } from "../../src/codec/bytes.ts";
import { jsonCodec } from "../../src/codec/json.ts";
import { jsonRpcCodec } from "../../src/codec/json-rpc.ts";
import { protoRpcCodec } from "../../src/codec/proto-rpc.ts";
import { protobufCodec } from "../../src/codec/protobuf.ts";
import type { Kind } from "../../src/context.ts";
import { MicroError, errors } from "../../src/errors.ts";
import type { CallHandler, IncomingCall, IncomingMessage, RawStream, Reply } from "../../src/protocol.ts";
import { encodeError } from "../../src/wire/error.ts";

type Fields = Record<string, unknown>;

interface Endpoint {
  readonly kind: Kind;
  readonly request?: MessageDescriptor;
  readonly response?: MessageDescriptor;
  run(request: Fields, call: IncomingCall, stream: Typed): Promise<unknown>;
}

interface Typed {
  send(value: unknown): Promise<void>;
  read(): Promise<Fields | undefined>;
}

const failures: Record<string, (detail: string, code: number) => MicroError> = {
  badrequest: (detail) => errors.badRequest("greeter", detail),
  unauthorized: (detail) => errors.unauthorized("greeter", detail),
  forbidden: (detail) => errors.forbidden("greeter", detail),
  notfound: (detail) => errors.notFound("greeter", detail),
  percent: (detail) => errors.notFound("greeter", detail),
  method: (detail) => errors.methodNotAllowed("greeter", detail),
  timeout: (detail) => errors.timeout("greeter", detail),
  conflict: (detail) => errors.conflict("greeter", detail),
  internal: (detail) => errors.internal("greeter", detail),
  custom: (detail, status) => new MicroError({ id: "greeter", status, detail }),
};

function failure({ kind, detail, code }: Fields): MicroError {
  const make = failures[kind as string];
  return make?.(detail as string, code as number) ?? new MicroError({ id: "", status: 0, detail: detail as string });
}

const endpoints: Record<string, Endpoint> = {
  "Greeter.Hello": unary(HelloRequestSchema, HelloResponseSchema, ({ name }) => ({ msg: `Hello ${name as string}` })),
  "Greeter.Nothing": unary(EmptySchema, EmptySchema, () => ({})),
  "Greeter.Kinds": unary(AllKindsSchema, AllKindsSchema, (all) => all),
  "Greeter.Slow": unary(SlowRequestSchema, SlowResponseSchema, () => ({ attempt: 1n })),
  "Greeter.Fail": unary(FailRequestSchema, EmptySchema, (request) => {
    throw failure(request);
  }),
  "Plain.Hello": { kind: "unary", run: async ({ name }) => ({ msg: `Hello ${(name as string) ?? ""}` }) },
  "Raw.Echo": { kind: "unary", run: async (body) => body },
  "Raw.Fail": {
    kind: "unary",
    run: async () => {
      throw errors.badRequest("raw", "no");
    },
  },
  "Greeter.Stream": {
    kind: "server",
    request: StreamRequestSchema,
    response: StreamResponseSchema,
    async run(_, __, stream) {
      const { count = 0n, size = 0n, failWith } = (await stream.read()) ?? {};
      for (let n = 0n; n < (count as bigint); n++) await stream.send({ n, pad: "x".repeat(Number(size)) });
      if (failWith) throw failure({ kind: failWith, detail: "stream failed" });
    },
  },
  "Greeter.Chat": {
    kind: "bidi",
    request: ChatMessageSchema,
    response: ChatMessageSchema,
    async run(_, __, stream) {
      for (let message = await stream.read(); message !== undefined; message = await stream.read()) {
        const text = message["text"] as string;
        if (text === "quit") return;
        if (text.startsWith("fail:")) throw failure({ kind: text.slice(5), detail: "chat failed" });
        await stream.send({ text: `re: ${text}`, n: message["n"] });
      }
    },
  },
  "Greeter.Collect": {
    kind: "client",
    request: ChatMessageSchema,
    response: CollectResponseSchema,
    async run(_, __, stream) {
      let count = 0n;
      for (let message = await stream.read(); message !== undefined; message = await stream.read()) {
        count++;
        if (message["text"] === "end") return await stream.send({ count, last: "end" });
      }
      await stream.send({ count, last: "" });
    },
  },
};

function unary(request: MessageDescriptor, response: MessageDescriptor, run: (request: Fields) => Fields): Endpoint {
  return { kind: "unary", request, response, run: async (message) => run(message) };
}

/** The Greeter of the captures, behind a protocol: the least of a server engine. */
export class Greeter implements CallHandler {
  readonly calls: IncomingCall[] = [];
  readonly messages: IncomingMessage[] = [];
  readonly #codecs: Codecs;

  private constructor(codecs: Codec[]) {
    this.#codecs = new Codecs(codecs);
  }

  static async create(): Promise<Greeter> {
    const codecs = [jsonCodec(), protobufCodec(), jsonRpcCodec(), protoRpcCodec(), bytesCodec()];
    for (const codec of codecs) await codec.load?.();
    return new Greeter(codecs);
  }

  kindOf(endpoint: string): Kind | undefined {
    return endpoints[endpoint]?.kind;
  }

  supports(contentType: string): boolean {
    return this.#codecs.get(contentType) !== undefined;
  }

  async unary(call: IncomingCall, body: Uint8Array): Promise<Reply> {
    this.calls.push(call);
    const codec = this.#codecs.get(call.head.contentType) as Codec;
    const envelope: Envelope = { type: "request", id: "", endpoint: call.head.endpoint };
    try {
      // Which endpoint it is, only an envelope may know.
      if (codec.enveloped) codec.decode(body, EmptySchema, envelope);
      const endpoint = endpoints[envelope.endpoint];
      if (endpoint === undefined) throw unknown(envelope.endpoint);
      const request = codec.decode(body, endpoint.request, envelope) as Fields;
      const value = await endpoint.run(request, call, undefined as unknown as Typed);
      return { body: codec.encode(value, endpoint.response, { ...envelope, type: "response" }) };
    } catch (error) {
      const failed = MicroError.from(error);
      const text = { ...envelope, type: "error" as const, error: encodeError(failed) };
      return { error: failed, body: codec.enveloped ? codec.encode(undefined, undefined, text) : new Uint8Array(0) };
    }
  }

  async stream(call: IncomingCall, raw: RawStream): Promise<MicroError | undefined> {
    this.calls.push(call);
    const codec = this.#codecs.get(call.head.contentType) as Codec;
    const endpoint = endpoints[call.head.endpoint];
    if (endpoint === undefined) return unknown(call.head.endpoint);
    const { request, response } = endpoint;
    const envelope: Envelope = { type: "request", id: "", endpoint: call.head.endpoint };
    const stream: Typed = {
      send: (value) => raw.send(codec.encode(value, response, { ...envelope, type: "response" })),
      read: async () => {
        const body = await raw.read();
        return body === undefined ? undefined : (codec.decode(body, request, envelope) as Fields);
      },
    };
    try {
      await endpoint.run({}, call, stream);
      return undefined;
    } catch (error) {
      return MicroError.from(error);
    }
  }

  async message(message: IncomingMessage): Promise<MicroError | undefined> {
    this.messages.push(message);
    const { name } = JSON.parse(Buffer.from(message.body).toString() || "{}") as { name?: string };
    return name?.startsWith("fail")
      ? errors.internal("go.micro.server", `subscriber error: subscriber refuses ${name}`)
      : undefined;
  }
}

/** Go's texts (wire spec §1.7). */
function unknown(name: string): MicroError {
  const [struct, method, ...more] = name.split(".");
  let detail = `rpc: service/endpoint request ill-formed: ${name}`;
  if (method !== undefined && more.length === 0) {
    const known = Object.keys(endpoints).some((endpoint) => endpoint.startsWith(`${struct}.`));
    detail = known ? `rpc: can't find method ${method}` : `rpc: can't find service ${struct}`;
  }
  return new MicroError({ id: "", status: 0, detail });
}
