import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseStageConfiguration } from '../lib/stage-configuration.ts';

const projectRoot = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const readme = read('README.md');
const shellBlocks = [...readme.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1]?.trim() ?? '');

describe('the README', () => {
  test('starts with the two commands, and CI runs exactly the second', () => {
    expect(shellBlocks.slice(0, 2)).toEqual(['npm ci && npm start', 'npm ci && npm test']);
    const commands = read('.ci/run')
      .split('\n')
      .filter((line) => line.startsWith('npm'));
    expect(commands).toEqual(['npm ci && npm test']);
  });

  test('shows a configuration that is accepted, and the defaults that then hold', () => {
    const example = readme.match(/```json\n(\{\s+"supabaseUrl".*?)```/s)?.[1] ?? '';
    const configuration: Record<string, unknown> = parseStageConfiguration('example', {
      example: JSON.parse(example.replace('<project>', 'project')),
    });

    // Rows such as "| `name`, `other` | 1, 2 | what it is |".
    const rows = readme.split('\n').flatMap((line) => {
      const [, names = '', defaults = ''] = line.split('|').map((cell) => cell.replaceAll('`', '').trim());
      const values = defaults.split(', ');
      return names.split(', ').map((name, index) => [name, values[index] ?? ''] as const);
    });
    const settings = listSettings();
    const documented = Object.fromEntries(rows.filter(([name]) => settings.includes(name)));
    expect(Object.keys(documented)).toEqual(settings);
    for (const [name, value] of Object.entries(documented)) {
      if (name in configuration && value !== '') expect(String(configuration[name])).toBe(value);
    }
  });

  test('shows an answer with exactly the members of the contract', () => {
    const example = JSON.parse(readme.match(/```json\n(\{\s+"connected".*?)```/s)?.[1] ?? '');
    const connected = read('docs/openapi.yaml')
      .match(/ {4}Connected:.*?required: \[(.*?)\]/s)?.[1]
      ?.split(', ');
    expect(Object.keys(example)).toEqual(connected);
  });
});

/** The names of all settings, as whoever uses another one is told them. */
function listSettings(): string[] {
  try {
    const supabaseUrl = 'https://project.supabase.co';
    const allowedOrigins = ['https://app.example.com'];
    parseStageConfiguration('example', { example: { supabaseUrl, allowedOrigins, unknown: true } });
    return [];
  } catch (error) {
    return String(error).split('use one of ')[1]?.split(', ') ?? [];
  }
}
