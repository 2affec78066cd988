import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseStageConfiguration } from '../../lib/stage-configuration.ts';
import { codeBlocksOf } from './markdown.ts';

const projectRoot = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
const table = read('docs/settings.md');

describe('the settings', () => {
  test.each(['README.md', 'docs/settings.md'])('that %s shows are accepted', (document) => {
    expect(() => parseExampleOf(document)).not.toThrow();
  });

  test('are all in the table, in the order of the code, with their defaults', () => {
    const configuration: Record<string, unknown> = parseExampleOf('docs/settings.md');

    // Rows such as "| `name`, `other` | 1, 2 | meaning |".
    const rows = table.split('\n').flatMap((line) => {
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
});

/** The configuration that the document's example of a stage results in. */
function parseExampleOf(document: string) {
  const example = codeBlocksOf(read(document), 'json').find((block) => block.includes('"supabaseUrl"')) ?? '';
  return parseStageConfiguration('example', { example: JSON.parse(example.replace('<project>', 'project')) });
}

/** The names of all settings, from the error about an unknown one. */
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
