import type { Clock } from "../clock.ts";
import { CallContext, type Log } from "../context.ts";
import { errors, type MicroError } from "../errors.ts";
import type { LocalCall, LocalRequest, LocalService } from "../server.ts";
import type { Calls } from "./calls.ts";
import { UnderWay, type Outcome } from "./direct.ts";
import { contained, taken, type Dispatch } from "./dispatch.ts";
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
  const host = { service, log, clock };
  const admit = (): void => {
    const refusal = calls.admit(false);
    if (refusal !== undefined) throw refusal;
  };
  const failed = (error: unknown, endpoint: string): MicroError => {
    const failure = contained(error, service);
    calls.count(failure, endpoint, error);
    return failure;
  };
  /** To a caller who is a handler, and hands it on, it is what another service answered: its own call has run. */
  const missing = (endpoint: string): MicroError => Object.assign(routes.missing(endpoint), { layer: "remote" });
  const context = (call: LocalCall): CallContext => new CallContext({ ...call, local: "", remote: "" }, host);
  const unaryDispatch = (endpoint: string): Dispatch => {
    const dispatch = routes.get(endpoint);
    if (dispatch === undefined) throw missing(endpoint);
    if (dispatch.kind !== "unary") throw errors.methodNotAllowed(service, `${endpoint} is a stream: open it as one`);
    return dispatch;
  };
  const outcome: Outcome<LocalRequest, Dispatch> = {
    done(call, dispatch, value) {
      try {
        call.answered(dispatch.checked(value));
      } catch (error) {
        outcome.failed(call, error);
      }
    },
    failed: (call, error) => call.failed(failed(error, call.endpoint)),
  };
  const direct = (dispatch: Dispatch, call: LocalRequest, request: unknown): void => {
    const refusal = calls.admit(false);
    if (refusal !== undefined) return call.failed(failed(refusal, call.endpoint));
    const ctx = new CallContext(call, host);
    let result: unknown;
    try {
      result = dispatch.beginWithin(request, ctx);
    } catch (error) {
      ctx.finish();
      return outcome.failed(call, error);
    }
    if (!(result instanceof Promise)) {
      ctx.finish();
      outcome.done(call, dispatch, result);
    } else if (result === taken()) {
      ctx.finish();
      call.answered(result);
    } else new UnderWay(outcome, running, call, dispatch, service).follow(result, ctx);
  };
  return {
    endpoint(name) {
      const dispatch = routes.get(name);
      return dispatch && { kind: dispatch.kind, direct: (call, request) => direct(dispatch, call, request) };
    },
    async unary(call, request) {
      admit();
      const dispatch = unaryDispatch(call.endpoint);
      const ctx = context(call);
      try {
        return await running.run(call.endpoint, call.deadline, call.cancellation, () => dispatch.unary(request, ctx));
      } catch (error) {
        throw failed(error, call.endpoint);
      }
    },
    async stream(call, requests, send) {
      admit();
      const dispatch = routes.get(call.endpoint);
      if (dispatch === undefined) throw missing(call.endpoint);
      if (dispatch.kind === "unary")
        throw errors.methodNotAllowed(service, `${call.endpoint} is unary: call it without a stream`);
      const ctx = context(call);
      try {
        await running.run(call.endpoint, call.deadline, call.cancellation, () =>
          dispatch.stream(requests, ctx, call.cancellation, send),
        );
      } catch (error) {
        throw failed(error, call.endpoint);
      }
    },
  };
}
