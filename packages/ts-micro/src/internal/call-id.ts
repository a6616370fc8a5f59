import { randomBytes } from "./random.ts";

const prefix = `ts-${randomBytes(6).toString("hex")}-`;
let counter = 0;

/** An id for a call, unique among all processes. Servers of ours know by its beginning whom they answer. */
export function nextCallId(): string {
  return prefix + ++counter;
}
