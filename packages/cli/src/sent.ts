import { type CommandFlag, type Invocation, UsageError } from "./command.ts";

/** Flags that say what goes along with a request. The reference's `call` has both names for one thing. */
export const sentFlags: Readonly<Record<string, CommandFlag>> = {
  metadata: { short: "m", many: true, help: "Key:Value, sent as metadata; may be given more than once" },
  header: { short: "H", many: true, help: "the same" },
};

/** @throws UsageError for an entry without a key. Of entries with the same key, in any case, the last counts, headers after metadata. */
export function sentMetadata({ lists, command }: Invocation): Iterable<[string, string]> {
  const entries = Object.keys(sentFlags).flatMap((flag) =>
    (lists[flag] ?? []).map((entry): [string, string] => {
      const [key = "", ...value] = entry.split(":");
      if (value.length === 0 || key.trim() === "")
        throw new UsageError(`--${flag} ${JSON.stringify(entry)}: Key:Value is needed`, command);
      return [key.trim(), value.join(":").trim()];
    }),
  );
  return new Map(entries.map((entry) => [entry[0].toLowerCase(), entry])).values();
}
