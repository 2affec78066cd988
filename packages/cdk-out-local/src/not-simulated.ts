import * as v from 'valibot';

/** The differences from AWS, each with the properties that it concerns. */
export class DifferenceList {
  readonly #places = new Map<string, Set<string>>();

  add(difference: string, place: string): void {
    this.#places.set(difference, (this.#places.get(difference) ?? new Set()).add(place));
  }

  toLines(): string[] {
    return [...this.#places]
      .map(([difference, places]) => `${difference} (${[...places].join(', ')})`)
      .sort();
  }
}

/** Finds properties in the input that the schema describes as having no effect. */
export function addPropertiesWithoutEffect(
  differences: DifferenceList,
  schema: v.GenericSchema,
  input: unknown,
  place: string,
): void {
  if (input === undefined) return;
  const reason = v.getDescription(schema);
  if (reason !== undefined) {
    differences.add(reason, place);
  } else if ('wrapped' in schema) {
    addPropertiesWithoutEffect(differences, schema.wrapped as v.GenericSchema, input, place);
  } else if ('entries' in schema) {
    const properties = input as Record<string, unknown>;
    for (const [name, entry] of Object.entries(schema.entries as v.ObjectEntries)) {
      addPropertiesWithoutEffect(differences, entry as v.GenericSchema, properties[name], `${place} ${name}`);
    }
  }
}
