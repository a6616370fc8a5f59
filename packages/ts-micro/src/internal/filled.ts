/** `own` with those of `defaults` that it leaves open; undefined when it leaves none of them open. */
export function filled<T extends object>(
  own: T,
  defaults: { readonly [K in keyof T]?: T[K] | undefined },
): T | undefined {
  const more = Object.entries(defaults).filter(
    ([name, value]) => value !== undefined && own[name as keyof T] === undefined,
  );
  return more.length === 0 ? undefined : { ...own, ...(Object.fromEntries(more) as Partial<T>) };
}
