/** Those of `names` that somebody may have meant by `word`, the closest first, three at most. */
export function similar(word: string, names: Iterable<string>): string[] {
  const limit = Math.max(1, word.length / 3);
  return [...new Set(names)]
    .map((name) => ({ name, far: distance(name.toLowerCase(), word.toLowerCase()) }))
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ name }) => name);
}

/** `; did you mean "a" or "b"?`, each as `shown` gives it, or nothing. */
export function hint(word: string, names: Iterable<string>, shown: (name: string) => string = (name) => name): string {
  const found = similar(word, names).map(shown);
  return found.length === 0 ? "" : `; did you mean ${found.map((name) => `"${name}"`).join(" or ")}?`;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((next[j - 1] as number) + 1, (row[j] as number) + 1, changed));
    }
    row = next;
  }
  return row[b.length] as number;
}
