/** The members of a JSON object; none if the text is anything else. */
export function readMembers(text: string | null): Readonly<Record<string, unknown>> {
  try {
    return { ...JSON.parse(text ?? '') };
  } catch {
    return {};
  }
}

/** A text; null for anything else. */
export function readText(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A valid date and time after 1970; null for anything else. */
export function readInstant(value: unknown): string | null {
  const text = readText(value);
  return Date.parse(text ?? '') > 0 ? text : null;
}
