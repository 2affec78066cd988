import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { runOperate } from './run-operate.ts';

const USER = '3fa85f64-5717-4562-b3fc-2c963f66afa6';

describe('a command line that cannot be understood', () => {
  test.each([
    ['', 'no command: use one of sweep, refresh, show, statistics, restore, fill-secret, doctor, or --help'],
    ['swep --stage dev', 'unknown command "swep": use one of sweep, '],
    ['toString --stage dev', 'unknown command "toString": use one of sweep, '],
    ['sweep', 'say which stage: --stage <stage>, or --stage local for the stack that "npm start" runs'],
    ['sweep --stage Prod', '--stage must be lower-case letters, digits and hyphens, got "Prod"'],
    ['sweep --stage dev --fast', `Unknown option '--fast': see "npm run operate -- sweep --help"`],
    ['sweep --stage', `Option '--stage <value>' argument missing: see "npm run operate -- sweep --help"`],
    [`sweep ${USER} --stage dev`, 'sweep takes no argument; "refresh <user-id>" refreshes one user'],
    [`statistics ${USER} --stage dev`, 'statistics takes no argument; "show <user-id>" shows one user'],
    ['doctor all --stage dev', 'doctor takes no argument'],
    ['refresh --stage dev', 'give one user id, got none'],
    [`show ${USER} ${USER} --stage dev`, 'give one user id, got 2'],
    ['refresh bob --stage dev', `a user id is a UUID such as ${USER}, got "bob"`],
    ['show bob --stage dev', `a user id is a UUID such as ${USER}, got "bob"`],
    ['restore --stage dev', 'say since when: --since 2026-11-24T03:00Z'],
    ['restore yesterday --stage dev', 'restore takes no argument but --since <time>'],
    ['restore --since yesterday --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2026-11-24T03:00 --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2026-02-31T03:00Z --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2026-11-24T25:00Z --stage dev', '--since must be a time with its zone such as '],
    ['restore --since 2999-01-01T00:00Z --stage dev', '--since must not be in the future, got "2999-'],
    ['fill-secret --stage dev', 'fill-secret takes spotify or supabase, and reads the value from standard '],
  ])('"%s" ends with one line that says what to write, and exit code 2', async (commandLine, line) => {
    const { exitCode, stdout, stderr } = await runOperate(commandLine.split(' ').filter(Boolean));

    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).toContain(line);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  });

  test.each([
    ['fill-secret', '{"client_secret": "canary"}', '--stage', 'dev'],
    ['fill-secret', 'spotify', '{"client_secret": "canary"}', '--stage', 'dev'],
    ['fill-secret', 'spotify', '--value=canary', '--stage', 'dev'],
  ])('a secret that was put there is not repeated: %s %s', async (...commandLine) => {
    const { exitCode, stdout, stderr } = await runOperate(commandLine);

    expect(exitCode).toBe(2);
    expect(stdout + stderr).not.toContain('canary');
  });
});

describe('--help', () => {
  test('alone names the commands that the README names', async () => {
    const { exitCode, stdout } = await runOperate(['--help']);
    const named = [...stdout.matchAll(/^ {2}([a-z][a-z-]*) .*[a-z]$/gm)].map(([, name]) => name);
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
    const [, operate = ''] = /^## Operate\n(.*?)^## /ms.exec(readme) ?? [];
    const documented = [...operate.matchAll(/^\| `([a-z-]+)/gm)].map(([, name]) => name);

    expect(exitCode).toBe(0);
    expect(named).toHaveLength(7);
    expect(documented.sort()).toEqual(named.sort());
  });

  test.each([
    'sweep',
    'refresh <user-id>',
    'show <user-id>',
    'statistics',
    'restore --since <time>',
    'fill-secret spotify|supabase',
    'doctor',
  ])('behind a command says how to write it: %s', async (synopsis) => {
    const [name = ''] = synopsis.split(' ');
    const { exitCode, stdout } = await runOperate([name, '--help']);

    expect(exitCode).toBe(0);
    expect(stdout).toContain(`Usage: npm run operate -- ${synopsis} --stage <stage>\n`);
    expect(stdout.split('\n\n').length).toBeGreaterThan(3);
  });
});
