import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Check, inOrder, isComplete, STEPS, toChecklist } from '../../operator/checklist.ts';

const guide = readFileSync(join(import.meta.dirname, '../../docs/deploy.md'), 'utf8');
const names = Object.values(STEPS).flatMap((items) => items.map(({ name }) => name));

/** Everything is in place, but for what is said. */
function checksWithout(missing: Readonly<Record<string, Partial<Check> | null>>): Check[] {
  return names
    .filter((name) => missing[name] !== null)
    .map((name) => ({ name, ok: true, detail: 'fine', ...missing[name] }));
}

/** State and name of each line that is a check's. */
function statesOf(checklist: string): string[] {
  return [...checklist.matchAll(/^(ok|FAIL|wait) +(\S.*?) {2,}/gm)].map(
    ([, state, name]) => `${state} ${name}`,
  );
}

describe('the checklist', () => {
  test("has the guide's steps, by their headings, in the guide's order", () => {
    const headings = [...guide.matchAll(/^### (\d\. .+)$/gm)].map(([, heading]) => heading);
    const steps = Object.keys(STEPS);

    expect(headings.filter((heading) => steps.includes(heading as string))).toEqual(steps);
    expect(toChecklist(checksWithout({})).match(/^\d\. .+$/gm)).toEqual(steps);
  });

  test("is in the guide's order for programs too, with what no step knows at its end", () => {
    const unknown = { name: 'moon', ok: true, detail: 'full' };
    const checks = [unknown, ...checksWithout({}).toReversed()];

    expect(inOrder(checks).map(({ name }) => name)).toEqual([...names, 'moon']);
  });

  test('is ok line by line where everything is in place', () => {
    expect(statesOf(toChecklist(checksWithout({})))).toEqual(names.map((name) => `ok ${name}`));
  });

  test('shows the commands for what is missing, and only there', () => {
    const commands = ['npm run operate -- sweep --stage dev'];
    const missing = { 'last sweep': { ok: false, detail: 'none yet', commands }, schedule: { commands } };

    expect(toChecklist(checksWithout(missing))).toMatch(
      /^FAIL {2}last sweep {7}none yet\n {23}npm run operate -- sweep --stage dev$/m,
    );
    expect(toChecklist(checksWithout(missing)).match(/operate/g)).toHaveLength(1);
  });

  test('names the check that comes first, and hides details that would mislead', () => {
    const unknown = { ok: false, detail: 'Supabase did not answer as it should' };
    const checklist = toChecklist(
      checksWithout({
        'supabase secret': { ok: false, detail: 'empty' },
        supabase: unknown,
        'user tokens': unknown,
        migrations: unknown,
        'last sweep': unknown,
        'stored values': unknown,
      }),
    );

    expect(checklist).not.toContain(unknown.detail);
    expect(statesOf(checklist).filter((line) => !line.startsWith('ok'))).toEqual([
      'wait migrations',
      'FAIL supabase secret',
      'wait supabase',
      'wait user tokens',
      'wait last sweep',
      'wait stored values',
    ]);
    expect(checklist.match(/first: supabase secret$/gm)).toHaveLength(5);
  });

  test('begins with the stack where it was never created', () => {
    const checklist = toChecklist([{ name: 'stack', ok: false, detail: 'ROLLBACK_COMPLETE' }]);

    expect(statesOf(checklist).filter((line) => line.startsWith('FAIL'))).toEqual(['FAIL stack']);
    expect(checklist.match(/first: stack$/gm)).toHaveLength(names.length - 1);
  });

  test('does not pass over a check that the deployed sweeper does not know', () => {
    const checks = checksWithout({ 'stored values': null });

    expect(toChecklist(checks)).toMatch(
      /^FAIL {2}stored values {4}not known: deploy the version that these commands belong to$/m,
    );
    expect([isComplete(checks), isComplete(checksWithout({}))]).toEqual([false, true]);
  });

  test('shows a check that it does not know, of a newer sweeper', () => {
    const newer = { name: 'clocks', ok: false, detail: 'an hour apart' };

    expect(toChecklist([...checksWithout({}), newer])).toMatch(/\n\nAlso\nFAIL {2}clocks {11}an hour apart$/);
  });
});
