/** Milliseconds in one of each unit of `grpc-timeout`. */
const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
const pattern = /^(\d{1,8})([HMSmun])$/;

/** `ms` as `grpc-timeout`: at most eight digits, never less than the time there is; "0n" would be no time at all, so `1u` is the least. */
export function encodeTimeout(ms: number): string {
  if (ms < 1e5) return `${Math.max(1, Math.ceil(ms * 1e3))}u`;
  if (ms < 1e8) return `${Math.ceil(ms)}m`;
  if (ms < 1e11) return `${Math.ceil(ms / 1e3)}S`;
  return `${Math.min(Math.ceil(ms / 3_600_000), 99_999_999)}H`;
}

/** Milliseconds of a `grpc-timeout`; undefined when it is none. */
export function decodeTimeout(text: string): number | undefined {
  const found = pattern.exec(text);
  return found === null ? undefined : Number(found[1]) * (units[found[2] as string] as number);
}
