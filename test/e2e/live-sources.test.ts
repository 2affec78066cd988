import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { watchSources } from '../../local/live-sources.ts';
import { Debugger } from './debugger.ts';
import { TestStack } from './test-stack.ts';

const projectRoot = join(import.meta.dirname, '../..');

/** A copy of what is watched: no test changes the sources of this checkout. */
const checkout = mkdtempSync(join(realpathSync(tmpdir()), 'spotify-auth-checkout-'));
for (const folder of ['lambda', 'frontend/src', 'demo/page', 'lib', 'supabase/migrations']) {
  cpSync(join(projectRoot, folder), join(checkout, folder), { recursive: true });
}
symlinkSync(join(projectRoot, 'node_modules'), join(checkout, 'node_modules'));

/** What the status function says about a path without a user id, and where. */
const SENTENCE = { file: 'lambda/status/problem.ts', text: 'The user id in the path must be a UUID.' };

const announcements: string[] = [];
const announced = new EventEmitter();
let pageRenewals = 0;

let stack: TestStack;
let stop: () => Promise<void>;

beforeAll(async () => {
  const cdkOutDirectory = join(checkout, 'cdk.out');
  cpSync(process.env['SYNTHESIZED_STACK'] ?? '', cdkOutDirectory, { recursive: true });
  stack = await TestStack.start({ cdkOutDirectory });
  stop = await watchSources({
    cloud: stack.stack.cloud,
    demo: {
      renewPage: async () => {
        pageRenewals += 1;
      },
    },
    inspect: 'status',
    inspectorPort: 0,
    projectRoot: checkout,
    onChange: (line) => {
      announcements.push(line);
      announced.emit('line');
    },
  });
});

afterAll(async () => {
  await stop();
  await stack.stop();
  rmSync(checkout, { recursive: true });
});

/** Writes into a source of the copy, and resolves with what is announced about it. */
async function change(file: string, rewrite: (text: string) => string): Promise<string> {
  const path = join(checkout, file);
  announcements.length = 0;
  writeFileSync(path, rewrite(readFileSync(path, 'utf8')));
  while (announcements.length === 0) await once(announced, 'line');
  return announcements.join('\n');
}

/** Attaches to the process that runs now: the line of one that has ended may still be the last. */
async function attachToFunction(): Promise<Debugger> {
  for (;;) {
    const line = stack.logLines.findLast((each) => each.startsWith('Debugger listening on ')) ?? '';
    const attached = await Debugger.attach(line.replace('Debugger listening on ', '')).catch(() => null);
    if (attached !== null) return attached;
    await setImmediate();
  }
}

async function askWithoutUserId(): Promise<string> {
  const authorization = `Bearer ${await stack.userToken(randomUUID())}`;
  const { body } = await stack.request('/music/status/nobody', { headers: { authorization } });
  return body.detail;
}

test('a change of lambda/ is live at the next request', async () => {
  expect(await askWithoutUserId()).toBe(SENTENCE.text);

  const line = await change(SENTENCE.file, (text) => text.replace(SENTENCE.text, 'Changed while it ran.'));

  expect(line).toBe(`Live: ${SENTENCE.file}`);
  expect(await askWithoutUserId()).toBe('Changed while it ran.');
  await change(SENTENCE.file, (text) => text.replace('Changed while it ran.', SENTENCE.text));
  expect(await askWithoutUserId()).toBe(SENTENCE.text);
});

test('what cannot be bundled is said, and the function stays as it was', async () => {
  const line = await change(SENTENCE.file, (text) => `${text}\nexport const = 1;\n`);

  expect(line).toMatch(`Not live: ${SENTENCE.file}: Build failed`);
  expect(await askWithoutUserId()).toBe(SENTENCE.text);
  await change(SENTENCE.file, (text) => text.replace('\nexport const = 1;\n', ''));
});

test.each(['frontend/src/index.ts', 'demo/page/page.css'])('a change of %s renews the page', async (file) => {
  const before = pageRenewals;

  expect(await change(file, (text) => `${text}\n`)).toBe(`Live: ${file}`);

  expect(pageRenewals).toBe(before + 1);
});

test.each(['lib/alarms.ts', 'supabase/migrations/20261126000100_schema.sql'])(
  'a change of %s says that a restart is needed',
  async (file) => {
    expect(await change(file, (text) => `${text}\n`)).toBe(
      `Restart "npm run dev" to apply the change of ${file}`,
    );
  },
);

test('a change of a name that the template has too is live, and says that a restart is needed', async () => {
  const file = 'lambda/metric-names.ts';

  await change(file, (text) => `${text}\n`);
  while (announcements.length < 2) await once(announced, 'line');

  expect(announcements).toEqual([`Live: ${file}`, `Restart "npm run dev" to apply the change of ${file}`]);
});

test('a debugger stops in the TypeScript of the function, which goes on from there', async () => {
  const attached = await attachToFunction();
  const { StatusFunctionName = '' } = stack.stack.cloud.template.outputs;
  const bundle = join(stack.stack.cloud.lambda.codeDirectoryOf(StatusFunctionName), 'index.mjs');
  const lines = readFileSync(bundle, 'utf8').split('\n');
  const lineNumber = lines.findIndex((line) => line.includes(SENTENCE.text));
  await attached.call('Debugger.enable');
  await attached.call('Debugger.setBreakpointByUrl', { url: pathToFileURL(bundle).href, lineNumber });

  const paused = attached.next('Debugger.paused');
  const answer = askWithoutUserId();
  const { location } = (await paused).callFrames[0];

  const map = new SourceMap(JSON.parse(readFileSync(`${bundle}.map`, 'utf8')));
  const entry = map.findEntry(location.lineNumber, location.columnNumber);
  expect(entry).toHaveProperty('originalSource');
  const { originalSource, originalLine } = entry as { originalSource: string; originalLine: number };
  const source = resolve(dirname(bundle), originalSource);
  expect(source).toBe(join(checkout, SENTENCE.file));
  expect(readFileSync(source, 'utf8').split('\n')[originalLine]).toContain(SENTENCE.text);

  await attached.call('Debugger.resume');
  expect(await answer).toBe(SENTENCE.text);
  attached.detach();
});
