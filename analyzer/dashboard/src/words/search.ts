// What a search finds.

/** Whether every word of the search is in some of the texts, in whatever case. */
export function finds(search: string, texts: readonly string[]): boolean {
  const all = texts.join(" ").toLowerCase();
  const words = search.toLowerCase().split(/\s+/);
  return words.every((word) => all.includes(word));
}
