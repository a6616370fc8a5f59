/** The wire name of a method: its first ASCII letter in upper case, nothing else changed (`hello` → `Hello`, `getURL` → `GetURL`). */
export function upperFirst(name: string): string {
  const c = name.charCodeAt(0);
  return c > 96 && c < 123 ? String.fromCharCode(c - 32) + name.slice(1) : name;
}

/** `Greeter` and `hello` → `Greeter.Hello`. */
export function endpointName(group: string, method: string): string {
  return `${group}.${upperFirst(method)}`;
}
