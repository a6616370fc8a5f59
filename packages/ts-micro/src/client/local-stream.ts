import type { Cancellation } from "../context.ts";
import { errors, fromUnknown, type MicroError } from "../errors.ts";
import { isAsyncIterable } from "../internal/async-iterable.ts";
import { Channel } from "../internal/channel.ts";
import { ResponseMetadata } from "../metadata.ts";
import type { LocalService } from "../server.ts";
import { carried } from "./answer.ts";
import type { PreparedCall } from "./prepared.ts";
import { LocalRequests } from "./request-source.ts";
import type { OpenStream } from "./stream.ts";

const id = "go.micro.client";

/** A stream to a service of this process: values as they are, the semantics of a wire. */
export function openLocal(
  local: LocalService,
  call: PreparedCall,
  cancellation: Cancellation,
  unlink: (() => void) | undefined,
): OpenStream {
  const sent = new Channel<unknown>(16);
  let requests: AsyncIterable<unknown> = sent;
  let source: LocalRequests | undefined;
  const leave = (reason: MicroError): void => {
    sent.fail(reason);
    source?.leave(reason);
  };
  if (call.kind === "server" && call.request !== undefined) requests = once(call.request);
  else if (isAsyncIterable(call.request)) requests = source = new LocalRequests(call.request);
  // The handler begins with the call and runs ahead of the reader by as much as buffers of a wire would let it.
  const replies = new Channel<unknown>(16);
  const { listener } = call;
  const response = listener && new ResponseMetadata();
  let begun = false;
  const begin = (): void => {
    if (response !== undefined && !begun) listener?.header(carried(response.header));
    begun = true;
  };
  const end = (error?: MicroError): void => {
    begin();
    if (response !== undefined) listener?.trailer(carried(response.trailer));
    replies.end(error);
  };
  local
    .stream({ ...call, cancellation, response }, requests, (value) => {
      begin();
      return replies.send(value);
    })
    .then(
      () => end(),
      (error: unknown) => end(fromUnknown(error, id)),
    )
    .finally(() => {
      leave(cancellation.reason ?? errors.invalidState(id, "the stream is over"));
      unlink?.();
      call.over?.(replies.unread > 0);
    });
  const cancel = (reason?: unknown): void => {
    const error = reason === undefined ? errors.cancelled(id, "cancelled") : fromUnknown(reason, id);
    cancellation.cancel(error);
    leave(error);
    replies.fail(error);
  };
  return {
    send: (message) => sent.send(message),
    end: () => sent.end(),
    cancel,
    async *[Symbol.asyncIterator]() {
      let clean = false;
      try {
        yield* replies;
        clean = true;
      } finally {
        if (!clean) cancel();
      }
    },
    async [Symbol.asyncDispose]() {
      cancel();
      await Promise.resolve();
    },
  };
}

async function* once(value: unknown): AsyncGenerator<unknown, void, undefined> {
  await Promise.resolve();
  yield value;
}
