import { errors, isMicroError } from "../errors.ts";
import type { Node } from "../registry.ts";
import type { Selector } from "../selector.ts";

/**
 * A selector that somebody else wrote. What `select` and `started` throw fails the call; what `ended` throws comes when the call has its
 * outcome, which stands: it is a warning of the process, once.
 */
export function carefulSelector(inner: Selector): Selector {
  let warned = false;
  const fault = (method: string, error: unknown): Error => {
    if (isMicroError(error)) return error;
    const why = error instanceof Error ? error.message : String(error);
    return errors.internal("go.micro.client", `selector ${inner.name}: ${method}: ${why}`, error);
  };
  const warn = (method: string, error: unknown): void => {
    if (warned) return;
    warned = true;
    process.emitWarning(fault(method, error).message, { code: "TS_MICRO_SELECTOR" });
  };
  /** Plain JavaScript may give promises; nobody waits for them. */
  const settle = (method: string, result: unknown): void => {
    if (isThenable(result)) result.then(undefined, (error: unknown) => warn(method, error));
  };
  return {
    name: inner.name,
    select(service, nodes, exclude) {
      let node: Node;
      try {
        node = inner.select(service, nodes, exclude);
      } catch (error) {
        throw fault("select", error);
      }
      settle("select", node);
      if (isNode(node)) return node;
      const what = isThenable(node) ? "a promise" : node === null ? "null" : typeof node;
      throw fault("select", new TypeError(`gave ${what}, not one of the nodes`));
    },
    started(service, node) {
      try {
        settle("started", inner.started(service, node));
      } catch (error) {
        throw fault("started", error);
      }
    },
    ended(service, node, ms, failure, tells) {
      try {
        settle("ended", inner.ended(service, node, ms, failure, tells));
      } catch (error) {
        warn("ended", error);
      }
    },
    reset: (service) => inner.reset(service),
  };
}

function isNode(value: Partial<Node> | undefined | null): boolean {
  return (
    typeof value?.address === "string" &&
    typeof value.id === "string" &&
    typeof value.metadata === "object" &&
    value.metadata !== null
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === "function";
}
