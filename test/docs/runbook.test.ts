import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { synthesize } from '../lib/synthesize.ts';
import { anchorsOf } from './markdown.ts';

const runbook = readFileSync(join(import.meta.dirname, '../../docs/runbook.md'), 'utf8');

/** The runbook's sections by their anchors. */
const sections = Object.fromEntries(
  runbook
    .split(/^(?=## )/m)
    .slice(1)
    .map((section) => [[...anchorsOf(section)][0] ?? '', section]),
);

const sectionsOfAlarms = Object.entries(sections).filter(([, section]) => /^\*Alarms? `/m.test(section));

test.each(sectionsOfAlarms)(
  'the section %s says what to do first, what it means, how to see it, what to do, and when it is over',
  (_anchor, section) => {
    const parts = [...section.matchAll(/^\*\*(.+?)\*\*/gm)].map(([, part]) => part);
    expect(parts).toEqual([
      'First step.',
      'What it means.',
      'How to see it.',
      'What to do.',
      'How to know that it is over.',
    ]);
  },
);

test('there is a section for everything that is done on purpose', () => {
  expect(Object.keys(sections)).toEqual(
    expect.arrayContaining([
      'rotating-the-spotify-secret',
      'rotating-the-supabase-key',
      'switching-jwt-signing-keys',
      'moving-to-another-spotify-app',
      'restoring-after-a-false-mass-revocation',
      'operator-commands',
      'reading-the-logs',
    ]),
  );
});

test('every widget and saved query that an alarm is looked at with is there by that name', () => {
  const ways = [...runbook.matchAll(/\*\*How to see it\.\*\*(.*?)\*\*What to do\.\*\*/gs)].map(
    ([, way]) => way,
  );
  const named = ways.flatMap((way = '') =>
    [...way.matchAll(/(?<!\*)\*([^*]+)\*(?!\*)/g)].map(([, name]) => name),
  );
  const template = synthesize();
  const queries = Object.values(template.findResources('AWS::Logs::QueryDefinition')).map(({ Properties }) =>
    Properties.Name.split('/').at(-1),
  );
  const dashboards = JSON.stringify(template.findResources('AWS::CloudWatch::Dashboard'));
  const titles = [...dashboards.matchAll(/title\\+":\\+"([^"\\]+)/g)].map(([, title]) => title);

  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !queries.includes(name) && !titles.includes(name))).toEqual([]);
});
