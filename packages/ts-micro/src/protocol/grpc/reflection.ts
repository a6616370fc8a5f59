import type { Kind } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { CallHandler, IncomingCall, RawStream, Reply } from "../../protocol.ts";
import {
  decodeReflectionRequest,
  encodeReflectionResponse,
  type ReflectionAnswer,
  type ReflectionQuestion,
} from "../../wire/grpc/reflection.ts";
import type { Files } from "./descriptors.ts";
import { healthName } from "./health.ts";
import { serverId } from "./reply.ts";
import { serviceNames } from "./services.ts";
import type { BuiltIn } from "./target.ts";

const names = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
const notFound = 5;
const unimplemented = 12;

/**
 * gRPC's server reflection, v1 and v1alpha: every service by name, and the files of those that were `implement`ed. Handlers without
 * descriptors have no messages that could be described.
 */
export function reflectionService(calls: CallHandler, health: boolean): BuiltIn {
  return new Reflection(calls, health);
}

class Reflection implements BuiltIn {
  readonly #calls: CallHandler;
  readonly #own: readonly string[];
  readonly #open = new Set<IncomingCall>();
  #files: Promise<Files | undefined> | undefined;

  constructor(calls: CallHandler, health: boolean) {
    this.#calls = calls;
    this.#own = health ? [healthName, ...names] : names;
  }

  kindOf(path: string): Kind | undefined {
    return names.some((name) => path === `/${name}/ServerReflectionInfo`) ? "bidi" : undefined;
  }

  supports(contentType: string): boolean {
    return contentType === "application/protobuf";
  }

  unary(): Promise<Reply> {
    return Promise.resolve({ body: new Uint8Array(0), error: errors.unsupported(serverId, "reflection is a stream") });
  }

  async stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined> {
    this.#open.add(call);
    const unlink = call.cancellation.onCancel((reason) => stream.cancel(reason));
    try {
      for (let body = await stream.read(); body !== undefined; body = await stream.read())
        await stream.send(encodeReflectionResponse(body, await this.#answer(decodeReflectionRequest(body))));
      return undefined;
    } catch (error) {
      return fromUnknown(error, serverId);
    } finally {
      unlink();
      this.#open.delete(call);
    }
  }

  drain(): void {
    for (const call of this.#open) call.cancellation.cancel(errors.draining(serverId, "the server is stopping"));
  }

  async #answer(question: ReflectionQuestion): Promise<ReflectionAnswer> {
    switch (question.ask) {
      case "services":
        return { services: [...serviceNames(this.#calls), ...this.#own].toSorted() };
      case "file":
        return (await this.#load())?.byName(question.name) ?? missing(`file ${question.name}`);
      case "symbol":
        return (await this.#load())?.bySymbol(question.name) ?? missing(`symbol ${question.name}`);
      case "extension":
        return (await this.#load())?.byExtension(question.name, question.number) ?? missing("extension");
      case "extensions":
        return (await this.#load())?.extensionsOf(question.name) ?? missing(`type ${question.name}`);
      default:
        return { code: unimplemented, message: "not a question of reflection" };
    }
  }

  /** Undefined when nothing was described, or the package that describes it is not there. */
  #load(): Promise<Files | undefined> {
    this.#files ??= import("./descriptors.ts")
      .then(({ openFiles }) => openFiles(this.#calls.endpoints?.() ?? []))
      .catch(() => undefined);
    return this.#files;
  }
}

function missing(what: string): ReflectionAnswer {
  return { code: notFound, message: `${what}: not known here` };
}
