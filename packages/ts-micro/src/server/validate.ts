import { errors, type MicroError } from "../errors.ts";
import type { StandardIssue, StandardResult, StandardSchemaV1 } from "../internal/standard-schema.ts";

const mostIssues = 8;

/** `value` as the schema gives it; a promise only for an async schema. A fault throws `make` with the path of each issue. */
export function parse(schema: unknown, value: unknown, make: (detail: string) => MicroError): unknown {
  if (!isSchema(schema)) return value;
  const result = schema["~standard"].validate(value);
  return result instanceof Promise ? result.then((late) => accept(late, make)) : accept(result, make);
}

function accept(result: StandardResult<unknown>, make: (detail: string) => MicroError): unknown {
  if (result.issues === undefined) return result.value;
  const shown = result.issues.slice(0, mostIssues).map(describe);
  if (result.issues.length > mostIssues) shown.push(`and ${result.issues.length - mostIssues} more`);
  throw make(shown.join("; "));
}

function describe(issue: StandardIssue): string {
  const path = (issue.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}

/**
 * What cannot be asked would let everything pass.
 * @throws MicroError BAD_REQUEST
 */
export function checkSchema(schema: unknown, of: string): void {
  if (schema !== undefined && !isSchema(schema))
    throw errors.badRequest("ts-micro", `${of}: no Standard Schema (zod from 3.24 on, valibot and arktype have it)`);
}

export function isSchema(schema: unknown): schema is StandardSchemaV1 {
  return schema !== null && (typeof schema === "object" || typeof schema === "function") && "~standard" in schema;
}
