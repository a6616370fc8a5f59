import type { Attempt, CallInterceptor, ClientCall, ClientInterceptor } from "../client.ts";

export type RunCall = (call: ClientCall) => Promise<unknown>;
export type RunAttempt = (attempt: Attempt) => Promise<unknown>;

/** `interceptors` around `inner`, the first one outermost; built once, so that a call allocates no closures for them. */
export function compileClient(interceptors: readonly ClientInterceptor[], inner: RunCall): RunCall {
  return interceptors.reduceRight<RunCall>((next, interceptor) => async (call) => interceptor(call, next), inner);
}

/** The same for one attempt. */
export function compileCall(interceptors: readonly CallInterceptor[], inner: RunAttempt): RunAttempt {
  return interceptors.reduceRight<RunAttempt>(
    (next, interceptor) => async (attempt) => interceptor(attempt, next),
    inner,
  );
}
