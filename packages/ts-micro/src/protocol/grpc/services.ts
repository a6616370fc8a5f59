import type { CallHandler } from "../../protocol.ts";

/** The services behind the endpoints: the proto name where there is a descriptor, else the struct's. Internal ones are not told. */
export function serviceNames(calls: CallHandler): Set<string> {
  const names = new Set<string>();
  for (const { name, descriptors, internal } of calls.endpoints?.() ?? [])
    if (!internal) names.add(descriptors?.service.typeName ?? name.slice(0, name.lastIndexOf(".")));
  return names;
}
