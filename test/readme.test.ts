import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

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

  test('shows an answer with exactly the members of the contract', () => {
    const example = JSON.parse(readme.match(/```json\n(\{\s+"connected".*?)```/s)?.[1] ?? '');
    const connected = read('docs/openapi.yaml')
      .match(/ {4}Connected:.*?required: \[(.*?)\]/s)?.[1]
      ?.split(', ');
    expect(Object.keys(example)).toEqual(connected);
  });
});
