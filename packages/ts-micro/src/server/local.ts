import type { Clock } from "../clock.ts";
import { CallContext, type Kind, type Log } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import type { LocalCall, LocalService } from "../server.ts";
import type { Calls } from "./calls.ts";
import { contained } from "./dispatch.ts";
import type { Routes } from "./routes.ts";
import type { Running } from "./running.ts";

/** Calls within the process: no codec, no socket, all semantics. Values go by reference; handlers must not change their requests. */
export function localService(
  service: string,
  routes: Routes,
  running: Running,
  calls: Pick<Calls, "admit" | "count">,
  log: Log,
  clock: Clock,
): LocalService {
  const admit = (): void => {
    const refusal = calls.admit(false);
    if (refusal !== undefined) throw refusal;
  };
  const failed = (error: unknown, endpoint: string): MicroError => {
    const failure = contained(error, service);
    calls.count(failure, endpoint, error);
    return failure;
  };
  const context = (call: LocalCall): CallContext =>
    new CallContext({ ...call, local: "", remote: "" }, service, log, clock);
  return {
    kindOf: (endpoint: string): Kind | undefined => routes.kindOf(endpoint),
    async unary(call, request) {
      admit();
      const dispatch = routes.get(call.endpoint);
      if (dispatch === undefined) throw routes.missing(call.endpoint);
      if (dispatch.kind !== "unary")
        throw errors.methodNotAllowed(service, `${call.endpoint} is a stream: open it as one`);
      const ctx = context(call);
      try {
        return await running.run(call.endpoint, call.deadline, call.cancellation, () => dispatch.unary(request, ctx));
      } catch (error) {
        throw failed(error, call.endpoint);
      }
    },
    async *stream(call, requests) {
      admit();
      const dispatch = routes.get(call.endpoint);
      if (dispatch === undefined) throw routes.missing(call.endpoint);
      const ctx = context(call);
      const finished = new Promise<void>((resolve) => call.cancellation.onCancel(() => resolve()));
      // Counted as under way until it ends or is cancelled.
      let end!: () => void;
      const open = new Promise<void>((resolve) => (end = resolve));
      const counted = running.run(call.endpoint, call.deadline, call.cancellation, () =>
        Promise.race([open, finished]),
      );
      counted.catch(() => {});
      try {
        yield* dispatch.stream(requests, ctx, call.cancellation);
      } catch (error) {
        throw failed(error, call.endpoint);
      } finally {
        end();
      }
    },
  };
}
