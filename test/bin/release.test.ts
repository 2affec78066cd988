import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createReleaseNotes, ReleaseError } from '../../bin/release-notes.ts';

const projectRoot = join(import.meta.dirname, '../..');

const changelog = `# Changelog

## [Unreleased]

- Not yet.

## [1.10.0] - 2026-11-26

### Added

- A line that is so long
  that it goes on ([docs](docs/a.md), [elsewhere](https://example.com/)).
  - One below it.
- Another.

## [1.1.0] - 2026-11-20

## [1.0.0]

- No date.
`;

function notesOf(tag: string, versions: Record<string, string>) {
  return createReleaseNotes({ tag, versions, changelog, filesUrl: 'https://github.com/o/r/blob/v1' });
}

describe('the notes of a release', () => {
  test('are the section of its version, with links that lead somewhere and no breaks within a line', () => {
    expect(notesOf('v1.10.0', { 'package.json': '1.10.0' })).toBe(`### Added

- A line that is so long that it goes on ([docs](https://github.com/o/r/blob/v1/docs/a.md), [elsewhere](https://example.com/)).
  - One below it.
- Another.`);
  });

  test.each([
    ['1.10.0', '1.10.0', 'a release is tagged as v1.2.3, got "1.10.0"'],
    ['v1', '1.10.0', 'a release is tagged as v1.2.3, got "v1"'],
    [
      'v1.11.0',
      '1.10.0',
      'package.json has version 1.10.0, the tag is v1.11.0: make them the same, and tag again',
    ],
    [
      'v1.11.0',
      '1.11.0',
      'CHANGELOG.md has no section "## [1.11.0] - <year>-<month>-<day>": write it, and tag again',
    ],
    [
      'v1.0.0',
      '1.0.0',
      'CHANGELOG.md has no section "## [1.0.0] - <year>-<month>-<day>": write it, and tag again',
    ],
    ['v1.1.0', '1.1.0', 'CHANGELOG.md says nothing about 1.1.0: write it, and tag again'],
  ])('of %s with version %s are refused in one line', (tag, version, message) => {
    expect(() => notesOf(tag, { 'package.json': version })).toThrow(new ReleaseError(message));
  });
});

test("this checkout's version can be released: its changelog says what is in it", () => {
  const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');
  const { version } = JSON.parse(read('package.json'));
  const versions = { 'frontend/package.json': JSON.parse(read('frontend/package.json')).version };
  const sources = { tag: `v${version}`, versions, changelog: read('CHANGELOG.md'), filesUrl: 'https://x' };

  expect(createReleaseNotes(sources)).toContain('###');
});

test('npm run release refuses a tag of another version with exit code 1, and makes nothing', () => {
  const script = join(projectRoot, 'bin/release.ts');
  const before = existsSync(join(projectRoot, 'release'));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, 'v999.0.0'], { encoding: 'utf8' });

  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^package\.json has version \S+, the tag is v999\.0\.0: .*\n$/);
  expect(existsSync(join(projectRoot, 'release'))).toBe(before);
});
