/** The members of the JSON object that a text is; none where it is anything else. */
export function membersIn(text: string | null): Readonly<Record<string, unknown>> {
  try {
    return { ...JSON.parse(text ?? '') };
  } catch {
    return {};
  }
}

/** A text; null for anything else. */
export function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A date and time after 1970 that can be read; null for anything else. */
export function instantIn(value: unknown): string | null {
  const text = textIn(value);
  return Date.parse(text ?? '') > 0 ? text : null;
}
