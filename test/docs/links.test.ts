import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { anchorsOf, codeBlocksOf, localLinksOf } from './markdown.ts';

const projectRoot = join(import.meta.dirname, '../..');
const documents = globSync(['*.md', 'bench/*.md', 'docs/**/*.md', 'frontend/*.md', 'packages/*/*.md'], {
  cwd: projectRoot,
});

function read(path: string): string {
  return readFileSync(join(projectRoot, path), 'utf8');
}

/** What is wrong with a link in a document; null: it leads somewhere. */
function faultOf(document: string, link: string): string | null {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? document : normalize(join(dirname(document), path));
  if (!existsSync(join(projectRoot, target))) return `${link}: there is no ${target}`;
  if (anchor !== undefined && !anchorsOf(read(target)).has(anchor)) {
    return `${link}: ${target} has no heading for it`;
  }
  return null;
}

/** The npm scripts that a block of shell commands runs, as `script` or `workspace script`. */
function scriptsIn(commands: string): { name: string; workspace: string }[] {
  const calls = [...commands.matchAll(/npm (?:run (?:--silent )?([\w:-]+)|(start|test)\b)(?: -w (\w+))?/g)];
  return calls.map(([, run, shorthand, workspace = '.']) => ({ name: run ?? shorthand ?? '', workspace }));
}

function scriptsOf(workspace: string): string[] {
  return Object.keys(JSON.parse(read(join(workspace, 'package.json'))).scripts);
}

test('the documents are found', () => {
  expect(documents).toEqual(
    expect.arrayContaining([
      'README.md',
      'SECURITY.md',
      'docs/deploy.md',
      'docs/runbook.md',
      'frontend/README.md',
    ]),
  );
});

describe.each(documents)('%s', (document) => {
  const markdown = read(document);

  test('links only to files and headings that exist', () => {
    const faults = localLinksOf(markdown).map((link) => faultOf(document, link));
    expect(faults.filter((fault) => fault !== null)).toEqual([]);
  });

  test('names only npm scripts that exist', () => {
    const unknown = scriptsIn(markdown).filter(({ name, workspace }) => !scriptsOf(workspace).includes(name));
    expect(unknown).toEqual([]);
  });

  test('shows only JSON that is well-formed', () => {
    for (const block of codeBlocksOf(markdown, 'json')) expect(() => JSON.parse(block)).not.toThrow();
  });
});

describe('a heading gets the anchor that GitHub gives it', () => {
  test.each([
    ['## Client rejected', 'client-rejected'],
    ['### What an HTTP API cannot do', 'what-an-http-api-cannot-do'],
    ['## `doctor`, and [links](x.md)', 'doctor-and-links'],
    ['# 6. invalid_grant is evidence, not proof', '6-invalid_grant-is-evidence-not-proof'],
    ["## Bondhu's row policy: what's left?", 'bondhus-row-policy-whats-left'],
  ])('%s', (heading, anchor) => {
    expect([...anchorsOf(`${heading}\n`)]).toEqual([anchor]);
  });

  test('numbered, when it is not the first of its name; and not when it stands in code', () => {
    expect([...anchorsOf('# A\n\n## B\n\n```sh\n# C\n```\n\n## B\n')]).toEqual(['a', 'b', 'b-1']);
  });
});

describe('docs/assumptions.md', () => {
  const assumptions = read('docs/assumptions.md');
  const tests = [...assumptions.matchAll(/`([^`]+\.test\.ts)`/g)].map(([, path = '']) => path);

  test('names only tests that exist', () => {
    expect(tests.length).toBeGreaterThan(50);
    expect(tests.filter((path) => !existsSync(join(projectRoot, path)))).toEqual([]);
  });

  test('has all ten services, each with what was never seen and what to check by hand', () => {
    const services = assumptions.split(/^## /m).slice(1);
    expect(services).toHaveLength(10);
    for (const service of services) {
      expect(service).toContain('| we assume | documented in | tested by |');
      expect(service).toContain('**Not seen on the real service yet:**');
      expect(service).toContain('**Check by hand:**');
    }
  });
});

test('a link to what is not there is found', () => {
  expect(faultOf('docs/runbook.md', '../README.md#configure')).toBeNull();
  expect(faultOf('docs/runbook.md', '#no-such-heading')).toContain('has no heading');
  expect(faultOf('docs/runbook.md', 'no-such-file.md')).toContain('there is no docs/no-such-file.md');
});
