import { fromUnknown } from "../../errors.ts";
import type { CallHandler, CallTarget, Route, ServedCall } from "../../protocol.ts";

/** Where calls go: a server's handler, or a service that a protocol brings. */
export type Handler = Pick<CallHandler, "kindOf" | "supports" | "unary" | "stream" | "target" | "direct">;

type Direct = Required<Pick<CallHandler, "target" | "direct">>;

/** What the server's end asks of its calls. */
export type DirectHandler = CallHandler & Direct;

interface RouteTarget extends CallTarget {
  readonly route: Route;
}

/** `calls`, with `direct` made of `unary` where it has none. */
export function directHandler(calls: CallHandler): DirectHandler {
  const direct = directly(calls);
  return direct === calls ? (calls as DirectHandler) : { ...direct, message: (message) => calls.message(message) };
}

/** The same for what takes no messages. */
export function directly(calls: Handler): Handler & Direct {
  if (calls.direct !== undefined && calls.target !== undefined) return calls as Handler & Direct;
  return {
    kindOf: (endpoint) => calls.kindOf(endpoint),
    supports: (contentType) => calls.supports(contentType),
    unary: (call, body) => calls.unary(call, body),
    stream: (call, stream) => calls.stream(call, stream),
    target: (route) => ({ kind: calls.kindOf(route.endpoint), route }) as RouteTarget,
    direct(call: ServedCall, target: CallTarget, bytes: Buffer, from: number, to: number) {
      const { endpoint, contentType } = (target as RouteTarget).route;
      const { service, deadline, metadata, cancellation, local, remote, response, retries } = call;
      const head = { service, endpoint, contentType, kind: "unary" as const, deadline, metadata, id: "" };
      call.watch({ cancelled: (reason) => cancellation.cancel(reason) });
      calls.unary({ head, local, remote, cancellation, response, retries }, Buffer.from(bytes.subarray(from, to))).then(
        (reply) => (reply.error === undefined ? call.reply(reply.body) : call.fail(reply.error)),
        (error: unknown) => call.fail(fromUnknown(error)),
      );
    },
  };
}
