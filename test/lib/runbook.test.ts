import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Runbook } from '../../lib/runbook.ts';
import { anchorsOf } from '../docs/markdown.ts';
import { listAlarms, writeReferences } from './find-resources.ts';
import { synthesize } from './synthesize.ts';

const projectRoot = join(import.meta.dirname, '../..');
const document = readFileSync(join(projectRoot, 'docs/runbook.md'), 'utf8');

const runbookUrl = 'https://wiki.example.com/runbook';
const template = synthesize({ runbookUrl });
const alarms = listAlarms(template);
const [dashboard] = Object.values(template.findResources('AWS::CloudWatch::Dashboard'));
const texts: string[] = JSON.parse(writeReferences(dashboard?.['Properties'].DashboardBody))
  .widgets.map(({ properties }: { properties: { markdown?: string } }) => properties.markdown ?? '')
  .filter((markdown: string) => /^# Runbook|^## /.test(markdown));
const sections = texts.slice(texts.findIndex((text) => text.startsWith('# Runbook')));

describe('what an alarm links', () => {
  test.each(alarms)('%s', (name, { AlarmDescription }) => {
    const [, , then = '', elsewhere = ''] = writeReferences(AlarmDescription).split('\n');
    const [, title, dashboardName] =
      /^Then: "(.+)" on the dashboard, .*#dashboards\/dashboard\/(.+)$/.exec(then) ?? [];
    const [, url, anchor] = /^Runbook: (.+)#(.+)$/.exec(elsewhere) ?? [];

    expect(dashboardName).toBe(writeReferences(dashboard?.['Properties'].DashboardName));
    expect(sections.find((text) => text.startsWith(`## ${title}\n`))).toMatch(
      new RegExp(`^\\*Alarms? .*\`${name}\``, 'm'),
    );
    expect(url).toBe(runbookUrl);
    expect(anchorsOf(document)).toContain(anchor);
  });
});

describe('the runbook on the dashboard', () => {
  const whole = sections.join('\n\n');

  test('has every section of docs/runbook.md, in its order', () => {
    const titles = document.match(/^##? .+$/gm);

    expect(sections.map((text) => text.split('\n')[0])).toEqual(titles);
    expect(titles?.length).toBeGreaterThan(alarms.length);
  });

  test('has no link that leads nowhere in the console', () => {
    const targets = [...whole.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target);

    expect(targets.filter((target) => !target?.startsWith('https://'))).toEqual([]);
  });

  test('names only files and headings that are in the repository', () => {
    const paths = [...whole.matchAll(/`((?:docs|lambda|supabase)\/[\w./-]+)(?:#([\w-]+))?`/g)];
    const faults = paths.filter(([, path = '', anchor]) => {
      const file = join(projectRoot, path);
      return !existsSync(file) || (anchor && !anchorsOf(readFileSync(file, 'utf8')).has(anchor));
    });

    expect(paths.length).toBeGreaterThan(5);
    expect(faults.map(([named]) => named)).toEqual([]);
  });

  test('has commands for this stage and its addresses, and leaves open what only the reader knows', () => {
    expect(whole).toContain('npm run operate -- doctor --stage test');
    expect(whole).not.toMatch(/--stage prod|stage=prod|SpotifyAuth-prod/);
    expect(whole).toMatch(/purge-queue --queue-url <RefreshSweeperDeadLetterQueue[0-9A-F]{8}>/);
    expect(whole).toContain('show <user> --stage test');
  });

  test('fits into what CloudFormation and CloudWatch take', () => {
    expect(JSON.stringify(template.toJSON()).length).toBeLessThan(500_000);
  });
});

describe('a document', () => {
  const places = { stage: 'test', outputs: {} };

  test.each([
    ['without a section for an alarm', '# Runbook\n'],
    [
      'with a section that has no first step',
      '# Runbook\n\n## Bad\n\n*Alarm `Bad`: bad.*\n\n**What to do.** That.\n',
    ],
  ])('%s fails the synthesis, and says what to write', (_name, markdown) => {
    expect(() => new Runbook(places, markdown).sectionOf('Bad')).toThrow(
      'docs/runbook.md: must have a section with "*Alarm `Bad`" and "**First step.**" below its heading',
    );
  });

  test('is rewritten where a dashboard cannot show it as it is', () => {
    const markdown =
      '# R\n\n[Bad](#bad), [deploy.md](deploy.md#upgrade), [why](decisions/1.md), [S](https://s.io)\n\n```sql\nselect 1;\n```\n';

    expect(new Runbook(places, markdown).sections[0]?.markdown).toBe(
      '# R\n\n**Bad**, `docs/deploy.md#upgrade`, why (`docs/decisions/1.md`), [S](https://s.io)\n\n```\nselect 1;\n```',
    );
  });
});
