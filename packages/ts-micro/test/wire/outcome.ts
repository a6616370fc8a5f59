import { isMicroError } from "ts-micro/errors";

/** `"ok"`, or the code of the MicroError that `step` throws. Anything else thrown goes on. */
export function outcome(step: () => unknown): string {
  try {
    step();
  } catch (error) {
    if (isMicroError(error)) return error.code;
    throw error;
  }
  return "ok";
}
