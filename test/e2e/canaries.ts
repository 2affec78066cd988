/** One occurrence of a value that must not be there. */
export interface Leak {
  readonly name: string;
  readonly text: string;
}

/**
 * Finds secrets in texts: as they are, URL-encoded, and base64- or base64url-encoded at any of the three alignments
 * that an encoder of a longer text may put them in.
 */
export function findLeaks(canaries: Readonly<Record<string, string>>, texts: Iterable<string>): Leak[] {
  const needles = Object.entries(canaries).map(([name, value]) => ({ name, encodings: encodingsOf(value) }));
  return [...texts].flatMap((text) =>
    needles
      .filter(({ encodings }) => encodings.some((encoding) => text.includes(encoding)))
      .map(({ name }) => ({ name, text })),
  );
}

function encodingsOf(value: string): string[] {
  const base64 = [0, 1, 2].flatMap((alignment) => {
    const encoded = Buffer.from('\0'.repeat(alignment) + value);
    // Without the ends, where neighbouring bytes take part.
    return [encoded.toString('base64'), encoded.toString('base64url')].map((text) =>
      text.replaceAll('=', '').slice(alignment === 0 ? 0 : 4, -4),
    );
  });
  return [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), ...base64];
}
