import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { callOperate, runOperate, startOperate } from './run-operate.ts';

const USER = '3fa85f64-5717-4562-b3fc-2c963f66afa6';

test.each([
  {
    args: ['--help'],
    stdout: /^Usage: npm run operate -- <command> --stage <stage>\n/,
    stderr: /^$/,
    exitCode: 0,
  },
  { args: ['sweep'], stdout: /^$/, stderr: /^name a stage: [^\n]+\n$/, exitCode: 2 },
])('$args ends with exit code $exitCode, as a process', async ({ args, stdout, stderr, exitCode }) => {
  expect(await runOperate(args)).toEqual({
    exitCode,
    stdout: expect.stringMatching(stdout),
    stderr: expect.stringMatching(stderr),
  });
});

describe('a command line that cannot be understood', () => {
  test.each([
    [
      '',
      'no command: use one of doctor, statistics, explain, show, refresh, sweep, restore, fill-secret, or help',
    ],
    ['swep --stage dev', 'unknown command "swep": use one of doctor, '],
    ['help swep', 'unknown command "swep": use one of doctor, '],
    ['toString --stage dev', 'unknown command "toString": use one of doctor, '],
    ['sweep', 'name a stage: --stage <stage>, or --stage local for the stack that "npm start" runs'],
    ['sweep --stage Prod', '--stage must be lower-case letters, digits and hyphens, got "Prod"'],
    ['sweep --stage dev --fast', `Unknown option '--fast': see "npm run operate -- sweep --help"`],
    ['sweep --stage', `Option '--stage <value>' argument missing: see "npm run operate -- sweep --help"`],
    [`sweep ${USER} --stage dev`, 'sweep takes no argument; "refresh <user>" refreshes one user'],
    [`statistics ${USER} --stage dev`, 'statistics takes no argument; "show <user>" shows one user'],
    ['doctor all --stage dev', 'doctor takes no argument'],
    ['refresh --stage dev', 'give one user id or e-mail address, got none'],
    ['explain --stage dev', 'give one user id or e-mail address, got none'],
    ['statistics --every 5 --stage dev', '--every goes with --watch'],
    ['statistics --watch --every 0 --stage dev', '--every must be 1 to 3600 seconds, got "0"'],
    ['statistics --watch --every soon --stage dev', '--every must be 1 to 3600 seconds, got "soon"'],
    [`show ${USER} ${USER} --stage dev`, 'give one user id or e-mail address, got 2'],
    [
      'refresh bob --stage dev',
      `a user is a UUID such as ${USER}, or the e-mail address of an account, got "bob"`,
    ],
    [
      'show bob@ --stage dev',
      `a user is a UUID such as ${USER}, or the e-mail address of an account, got "bob@"`,
    ],
    ['restore --stage dev', 'name a time: --since 2026-11-24T03:00Z'],
    ['restore yesterday --stage dev', 'restore takes only --since <time>'],
    ['restore --since yesterday --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2026-11-24T03:00 --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2026-02-31T03:00Z --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2026-11-24T25:00Z --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2999-01-01T00:00Z --stage dev', '--since must not be in the future, got "2999-'],
    ['fill-secret --stage dev', 'fill-secret takes spotify or supabase, and reads the value from standard '],
  ])('"%s" ends with one line that says what to write, and exit code 2', async (commandLine, line) => {
    const { exitCode, stdout, stderr } = await callOperate(commandLine.split(' ').filter(Boolean));

    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).toContain(line);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  });

  test.each([
    ['fill-secret', '{"client_secret": "canary"}', '--stage', 'dev'],
    ['fill-secret', 'spotify', '{"client_secret": "canary"}', '--stage', 'dev'],
    ['fill-secret', 'spotify', '--value=canary', '--stage', 'dev'],
  ])('a secret that was put there is not repeated: %s %s', async (...commandLine) => {
    const { exitCode, stdout, stderr } = await callOperate(commandLine);

    expect(exitCode).toBe(2);
    expect(stdout + stderr).not.toContain('canary');
  });
});

test.each([['help'], ['--help'], ['-h']])('%s says what there is', async (word) => {
  expect(await callOperate([word])).toEqual(await callOperate(['--help']));
});

test.each([['help sweep'], ['sweep --help'], ['sweep -h']])(
  '%s says what one command does',
  async (words) => {
    expect(await callOperate(words.split(' '))).toEqual(await callOperate(['sweep', '--help']));
  },
);

test('--version says which version these commands are of', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));

  expect(await callOperate(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
});

test('a reader that has seen enough ends a command without a word', async () => {
  const child = startOperate(['--help']);
  child.stdout.destroy();
  const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')]);

  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
});

describe('--help', () => {
  test('alone names the commands that the README names', async () => {
    const { exitCode, stdout } = await callOperate(['--help']);
    const named = [...stdout.matchAll(/^ {2}([a-z][a-z-]*) .*[a-z]$/gm)].map(([, name]) => name);
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
    const [, operate = ''] = /^## Operate\n(.*?)^## /ms.exec(readme) ?? [];
    const documented = [...operate.matchAll(/^\| `([a-z-]+)/gm)].map(([, name]) => name);

    expect(exitCode).toBe(0);
    expect(named).toHaveLength(8);
    expect(documented.sort()).toEqual(named.sort());
  });

  test.each([
    'sweep',
    'refresh <user>',
    'explain <user>',
    'show <user>',
    'statistics [--watch]',
    'restore --since <time>',
    'fill-secret spotify|supabase',
    'doctor',
  ])('behind a command says how to write it: %s', async (synopsis) => {
    const [name = ''] = synopsis.split(' ');
    const { exitCode, stdout } = await callOperate([name, '--help']);

    expect(exitCode).toBe(0);
    expect(stdout).toContain(`Usage: npm run operate -- ${synopsis} --stage <stage>\n`);
    expect(stdout).toMatch(/^ {2}--json {2}/m);
    expect(stdout).toMatch(/\n\nFields of its JSON, in this order:\n\n( {2}[a-z_]+ {2,}\S.*\n)+$/);
  });
});
