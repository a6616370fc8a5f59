/** What `option idempotency_level` of a protobuf method says: 1 is NO_SIDE_EFFECTS, 2 IDEMPOTENT. */
export function idempotencyOf(method: object): { readonly idempotent: boolean; readonly noSideEffects: boolean } {
  const { idempotency } = method as { idempotency?: number };
  return { idempotent: idempotency === 1 || idempotency === 2, noSideEffects: idempotency === 1 };
}
