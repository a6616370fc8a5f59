import type { LocalService } from "./server.ts";
import { errors } from "./errors.ts";
import { until } from "./internal/signals.ts";
import type { MicroService, Service } from "./service.ts";

/** Several services in one process: started and stopped together, one signal handler, calls between them without a socket. */
export interface Group extends AsyncDisposable {
  add(...services: Service[]): Group;
  /** All of them; if one fails, those that started are stopped again. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Starts, waits for a signal or `signal`, stops. Where a service was given `-h` or `-v`, that is printed and nothing starts. */
  run(options?: { signal?: AbortSignal | undefined; handleSignal?: boolean | undefined }): Promise<void>;
}

/** A group of services (SVC-45). */
export function createGroup(...services: Service[]): Group {
  /** The ways to each member. By what it is called when asked: the environment may say something else than its options. */
  const ways: [Service, () => LocalService | undefined][] = [];
  const local = (name: string): LocalService | undefined => ways.find(([service]) => service.name === name)?.[1]();
  const ended = new AbortController();
  let started = false;
  const group: Group = {
    add(...more) {
      if (started) throw errors.invalidState("group", "services are added before start");
      for (const service of more) ways.push([service, (service as unknown as MicroService).joinGroup(local)]);
      return group;
    },
    async start() {
      started = true;
      const outcomes = await Promise.allSettled(ways.map(([service]) => service.start()));
      const failed = outcomes.find((outcome) => outcome.status === "rejected");
      if (failed === undefined) return;
      await group.stop().catch(() => {});
      throw failed.reason;
    },
    async stop() {
      ended.abort();
      const outcomes = await Promise.allSettled(ways.map(([service]) => service.stop()));
      const failed = outcomes.find((outcome) => outcome.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    },
    async run(options = {}) {
      const printed = ways.map(([service]) => (service as unknown as MicroService).printed());
      if (printed.includes(true)) return;
      await until(
        { ...options, stopped: ended.signal },
        () => group.start(),
        () => group.stop(),
      );
    },
    [Symbol.asyncDispose]: () => group.stop(),
  };
  return group.add(...services);
}
