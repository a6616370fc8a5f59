import type { Kind } from "../../context.ts";
import { errors, fromUnknown, type MicroError } from "../../errors.ts";
import type { CallHandler, IncomingCall, RawStream, Reply } from "../../protocol.ts";
import { decodeHealthRequest, encodeHealthResponse, type Serving } from "../../wire/grpc/health.ts";
import { serviceNames } from "./services.ts";
import { serverId } from "./reply.ts";
import type { BuiltIn } from "./target.ts";

export const healthName = "grpc.health.v1.Health";
const kinds: Readonly<Record<string, Kind>> = { [`/${healthName}/Check`]: "unary", [`/${healthName}/Watch`]: "server" };

/** gRPC's health service: all serve until the server drains. Names are those that reflection lists, and structs alone. */
export function healthService(calls: CallHandler): BuiltIn {
  return new Health(calls);
}

class Health implements BuiltIn {
  readonly #calls: CallHandler;
  readonly #watches = new Set<() => void>();
  #draining = false;

  constructor(calls: CallHandler) {
    this.#calls = calls;
  }

  kindOf(path: string): Kind | undefined {
    return kinds[path];
  }

  supports(contentType: string): boolean {
    return contentType === "application/protobuf";
  }

  async unary(_call: IncomingCall, body: Uint8Array): Promise<Reply> {
    try {
      const service = decodeHealthRequest(body);
      const status = this.#statusOf(service);
      if (status === "SERVICE_UNKNOWN") throw errors.notFound(serverId, `unknown service ${service}`);
      return { body: encodeHealthResponse(status) };
    } catch (error) {
      return { body: new Uint8Array(0), error: fromUnknown(error, serverId) };
    }
  }

  async stream(call: IncomingCall, stream: RawStream): Promise<MicroError | undefined> {
    const service = decodeHealthRequest((await stream.read()) ?? new Uint8Array(0));
    await stream.send(encodeHealthResponse(this.#statusOf(service)));
    if (!this.#draining) await this.#changed(call);
    if (call.cancellation.reason !== undefined) return call.cancellation.reason;
    await stream.send(encodeHealthResponse(this.#statusOf(service)));
    return errors.draining(serverId, "the server is stopping");
  }

  drain(): void {
    this.#draining = true;
    for (const tell of this.#watches) tell();
  }

  /** Resolves when the server drains, or the watcher has gone. */
  #changed(call: IncomingCall): Promise<void> {
    return new Promise((resolve) => {
      const tell = (): void => {
        this.#watches.delete(tell);
        resolve();
      };
      this.#watches.add(tell);
      call.cancellation.onCancel(tell);
    });
  }

  #statusOf(service: string): Serving {
    if (service !== "" && service !== healthName) {
      const names = serviceNames(this.#calls);
      if (!names.has(service) && ![...names].some((name) => name.endsWith(`.${service}`))) return "SERVICE_UNKNOWN";
    }
    return this.#draining ? "NOT_SERVING" : "SERVING";
  }
}
