import * as v from 'valibot';

/** The fields of a result by name, with their meanings, in the order in which they are shown. */
export type Fields = Readonly<Record<string, string>>;

/** A result of the sweeper, of which a command only knows the meaning of the fields. */
export const Data = v.record(v.string(), v.unknown());

/**
 * The fields of the sweeper's result in the documented order, because jsonb orders them by length. Fields that this version does
 * not know come last.
 */
export function inOrder(fields: Fields, data: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const known = Object.keys(fields).filter((name) => name in data);
  const unknown = Object.keys(data).filter((name) => !(name in fields));
  return Object.fromEntries([...known, ...unknown.sort()].map((name) => [name, data[name]]));
}

/** Lines such as `oldest overdue seconds  0`. */
export function toTable(data: Readonly<Record<string, unknown>>): string {
  return alignColumns(
    Object.entries(data).map(([name, value]) => [name.replaceAll('_', ' '), toWord(value)] as const),
  );
}

/** Lines that say what each field means. */
export function describeFields(fields: Fields): string {
  return alignColumns(Object.entries(fields), '  ');
}

function alignColumns(rows: readonly (readonly [string, string])[], indent = ''): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${indent}${name.padEnd(width)}  ${text}`).join('\n');
}

function toWord(value: unknown): string {
  if (value === null) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number' && !Number.isInteger(value)) return value.toFixed(1);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
