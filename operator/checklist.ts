/** One requirement of a stage. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** The commands that fix it, if there are any. */
  readonly commands?: readonly string[];
}

interface Item {
  readonly name: string;
  /** The check that must pass before this one means anything. */
  readonly needs?: string;
}

/** The steps of docs/deploy.md by their headings, and the checks that show that each is done. */
export const STEPS: Readonly<Record<string, readonly Item[]>> = {
  '2. Apply the migrations': [{ name: 'migrations', needs: 'supabase' }],
  '5. Deploy': [
    { name: 'stack' },
    { name: 'sweeper' },
    { name: 'schedule' },
    { name: 'concurrency' },
    { name: 'event bus' },
    { name: 'rescue key', needs: 'sweeper' },
  ],
  '6. Fill in the secrets': [
    { name: 'spotify secret', needs: 'sweeper' },
    { name: 'spotify client', needs: 'spotify secret' },
    { name: 'supabase secret', needs: 'sweeper' },
    { name: 'supabase', needs: 'supabase secret' },
    { name: 'user tokens', needs: 'supabase secret' },
  ],
  '7. Sweep once, and see that all is well': [
    { name: 'last sweep', needs: 'migrations' },
    { name: 'stored values', needs: 'migrations' },
    { name: 'alarm topic' },
  ],
};

const NEEDS = new Map(
  Object.values(STEPS)
    .flat()
    .map(({ name, needs }) => [name, needs]),
);

/**
 * The guide's steps as lines, each `ok`, `FAIL` with what to do, or `wait` with what comes first.
 *
 * @param checks the results, in any order; a missing check was not reached
 */
export function toChecklist(checks: readonly Check[]): string {
  const known = new Map(checks.map((check) => [check.name, check]));
  const width = Math.max(...[...NEEDS.keys()].map((name) => name.length));
  const toLines = (name: string): string[] => {
    const blocker = findBlocker(name, known);
    if (blocker !== null) return [`wait  ${name.padEnd(width)}  first: ${blocker}`];
    const { ok, detail, commands = [] } = known.get(name) ?? NOT_REPORTED;
    const line = `${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${detail}`;
    return [line, ...(ok ? [] : commands.map((command) => `${' '.repeat(width + 8)}${command}`))];
  };
  // Checks of a newer sweeper belong to no known step, and must not be lost.
  const others = checks.map(({ name }) => name).filter((name) => !NEEDS.has(name));
  const steps = Object.entries(STEPS).map(([step, items]) => [step, items.map(({ name }) => name)] as const);
  return [...steps, ...(others.length > 0 ? [['Also', others] as const] : [])]
    .map(([step, names]) => [step, ...names.flatMap(toLines)].join('\n'))
    .join('\n\n');
}

/** The checks in the order of the guide's steps; those that belong to no step come last. */
export function inOrder(checks: readonly Check[]): Check[] {
  const names = [...NEEDS.keys()];
  const placeOf = ({ name }: Check) => (NEEDS.has(name) ? names.indexOf(name) : names.length);
  return checks.toSorted((one, other) => placeOf(one) - placeOf(other));
}

/** Whether every line of the checklist is `ok`. */
export function isComplete(checks: readonly Check[]): boolean {
  const known = new Set(checks.map(({ name }) => name));
  return checks.every(({ ok }) => ok) && [...NEEDS.keys()].every((name) => known.has(name));
}

const NOT_REPORTED: Omit<Check, 'name'> = {
  ok: false,
  detail: 'not known: deploy the version that these commands belong to',
};

/** The first unmet requirement of a check; null if there is none. */
function findBlocker(name: string, known: ReadonlyMap<string, Check>): string | null {
  const needs = NEEDS.get(name);
  if (needs !== undefined) {
    return findBlocker(needs, known) ?? (known.get(needs)?.ok === true ? null : needs);
  }
  // If the stack was never created, the stack is all there is to check.
  return known.has(name) || known.get('stack')?.ok === true ? null : 'stack';
}
