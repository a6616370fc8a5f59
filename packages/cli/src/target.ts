import { type CommandFlag, type Invocation, needArgs, UsageError } from "./command.ts";

/** Flags of commands that send something. The reference's `call` has both names for one thing. */
export const targetFlags: Readonly<Record<string, CommandFlag>> = {
  metadata: { short: "m", many: true, help: "Key:Value, sent as metadata; may be given more than once" },
  header: { short: "H", many: true, help: "the same" },
};

/** What is called, and with what. */
export interface Target {
  readonly service: string;
  readonly endpoint: string;
  /** What stands after the endpoint. */
  readonly words: readonly string[];
  readonly options: { readonly signal: AbortSignal; readonly metadata: readonly (readonly [string, string])[] };
}

/** `more`: what must follow. @throws UsageError for missing arguments and for metadata without a key */
export function targetOf(invocation: Invocation, ...more: readonly string[]): Target {
  const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT", ...more) as [string, string];
  const { args, lists, command, signal } = invocation;
  // Of one name the last counts, headers after metadata, as in the reference.
  const metadata = Object.keys(targetFlags).flatMap((flag) =>
    (lists[flag] ?? []).map((entry): [string, string] => {
      const colon = entry.indexOf(":");
      const key = entry.slice(0, Math.max(colon, 0)).trim();
      if (key === "") throw new UsageError(`--${flag} ${JSON.stringify(entry)}: Key:Value is needed`, command);
      return [key, entry.slice(colon + 1).trim()];
    }),
  );
  return { service, endpoint, words: args.slice(2), options: { signal, metadata } };
}
