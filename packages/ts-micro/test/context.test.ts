import { afterEach, describe, expect, it } from "vitest";
import { CallContext, Cancellation, abortReason, linkSignal, parentOf } from "../src/context.ts";
import { errors } from "../src/errors.ts";
import { Metadata, ResponseMetadata } from "../src/metadata.ts";
import { virtualClock } from "../src/testing/clock.ts";
import { noopLogger } from "../src/logger/noop.ts";

const clock = virtualClock(1000);

function context(cancellation = new Cancellation()): CallContext {
  const metadata = Metadata.from({
    "X-User": "ada",
    "Micro-Id": "7",
    Authorization: "Bearer x",
    traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
  });
  const source = { metadata, deadline: 3000, endpoint: "Greeter.Hello", local: "l", remote: "r", cancellation };
  return new CallContext(source, { service: "greeter", log: noopLogger(), clock });
}

afterEach(() => expect(clock.pending()).toBe(0));

describe("Context", () => {
  it("is found behind itself, a spread, and with()", () => {
    const ctx = context();
    expect(parentOf(ctx)).toBe(ctx);
    expect(parentOf({ ...ctx, timeout: "1s" })).toBe(ctx);
    expect(parentOf(ctx.with({ timeout: "1s" }))).toBe(ctx);
    expect(parentOf({ timeout: "1s" })).toBeUndefined();
    expect(parentOf(undefined)).toBeUndefined();
  });

  it("hands down deadline, cancellation and metadata, without per-hop headers and credentials", () => {
    const { deadline, cancellation, metadata } = context().inherited();
    expect(deadline).toBe(3000);
    expect(cancellation).toBeDefined();
    expect(metadata.toObject()).toEqual({ "X-User": "ada", Traceparent: expect.stringContaining("00-") as string });
  });

  it("hands down only metadata after its handler has settled", () => {
    const ctx = context();
    ctx.finish();
    expect(ctx.inherited()).toMatchObject({ deadline: Infinity, cancellation: undefined });
    expect(ctx.inherited().metadata.get("x-user")).toBe("ada");
  });

  it("tells the time left and its trace position", () => {
    const ctx = context();
    expect(ctx.remaining()).toBe(2000);
    expect(ctx.span).toEqual({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true });
  });

  it("takes what is added to the reply where the wire has a place for it, and on others in vain", () => {
    const response = new ResponseMetadata();
    const source = { metadata: new Metadata(), deadline: 1, endpoint: "a", local: "", remote: "" };
    const ctx = new CallContext(
      { ...source, cancellation: new Cancellation(), response },
      { service: "greeter", log: noopLogger(), clock },
    );
    ctx.responseHeader.set("x-seen", "yes");
    ctx.responseTrailer.set("x-cost", "3");
    expect([response.header.get("X-Seen"), response.trailer.get("X-Cost")]).toEqual(["yes", "3"]);
    const elsewhere = context();
    elsewhere.responseHeader.set("x-seen", "yes");
    expect(elsewhere.responseHeader.get("x-seen")).toBe("yes");
    expect(elsewhere.metadata.has("x-seen")).toBe(false);
  });

  it("makes no AbortController by being spread", () => {
    const cancellation = new Cancellation();
    const ctx = context(cancellation);
    expect("signal" in { ...ctx }).toBe(false);
  });
});

describe("Cancellation", () => {
  it("tells each listener once, late ones at once, and counts the first reason", () => {
    const cancellation = new Cancellation();
    const seen: string[] = [];
    cancellation.onCancel((reason) => seen.push(`a ${reason.detail}`));
    const unlink = cancellation.onCancel(() => seen.push("unlinked"));
    unlink();
    cancellation.cancel(errors.cancelled("x", "one"));
    cancellation.cancel(errors.cancelled("x", "two"));
    cancellation.onCancel((reason) => seen.push(`b ${reason.detail}`));
    expect(seen).toEqual(["a one", "b one"]);
  });

  it("gives a signal before and after, aborted with the reason", () => {
    const before = new Cancellation();
    const signal = before.signal;
    const reason = errors.cancelled("x", "gone");
    before.cancel(reason);
    expect(signal.reason).toBe(reason);
    const after = new Cancellation();
    after.cancel(reason);
    expect(after.signal.aborted).toBe(true);
  });

  it("follows a signal until it is unlinked", () => {
    const target = new Cancellation();
    const control = new AbortController();
    linkSignal(control.signal, target, "id")();
    control.abort();
    expect(target.reason).toBeUndefined();
    linkSignal(control.signal, target, "id");
    expect(target.reason?.code).toBe("CANCELLED");
  });

  it("reads AbortSignal.timeout as TIMEOUT and any other reason as CANCELLED", () => {
    expect(abortReason(AbortSignal.abort(new DOMException("late", "TimeoutError")), "id").code).toBe("TIMEOUT");
    expect(abortReason(AbortSignal.abort("enough"), "id")).toMatchObject({ code: "CANCELLED", detail: "enough" });
    const refuses = (): never => {
      throw new Error("do not look");
    };
    const hidden = new Proxy({}, { get: refuses, has: refuses, getPrototypeOf: refuses });
    expect(abortReason(AbortSignal.abort(hidden), "id")).toMatchObject({ code: "CANCELLED", id: "id" });
  });
});
