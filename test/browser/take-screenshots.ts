import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDemo } from '../../demo/demo-server.ts';
import { startStack } from '../../local/stack.ts';
import { findBrowser, launchBrowser } from './browser.ts';
import { takeDashboardScreenshot } from './dashboard-screenshot.ts';

const imagesDirectory = join(import.meta.dirname, '../../docs/images');

/** Takes the README's screenshots. */
await using cleanup = new AsyncDisposableStack();
const directory = await mkdtemp(join(tmpdir(), 'screenshots-'));
cleanup.defer(() => rm(directory, { recursive: true, force: true }));
const found = await findBrowser(directory);
if (!found) throw new Error('no Chromium here: name one in CHROMIUM_PATH');
const browser = await launchBrowser(found);
cleanup.defer(() => browser.close());
let log = (_source: string, _line: string) => {};
const stack = await startStack({
  onLog: (source, line) => log(source, line),
  onProgress: (line) => process.stdout.write(`${line}\n`),
});
cleanup.defer(() => stack.stop());
const demo = await startDemo(stack, 0);
cleanup.defer(() => demo.stop());
log = demo.log;

const context = await browser.newContext({ viewport: { width: 1280, height: 1180 } });
const page = await context.newPage();
await page.goto(demo.url);
await page.getByRole('button', { name: 'expiring' }).click();
await page.getByRole('heading', { name: 'Spotify connected' }).waitFor();
await page.getByRole('button', { name: 'Sweep now' }).click();
await page.getByText('Sweep completed').first().waitFor();
await page.screenshot({ path: join(imagesDirectory, 'demo-connected.png') });

await page.emulateMedia({ colorScheme: 'dark' });
await page.getByRole('radio', { name: 'rate-limits (429)' }).check();
await page.getByRole('button', { name: 'Expire my token' }).click();
await page.getByRole('button', { name: 'Check again' }).click();
await page.getByText('has asked for a pause').waitFor();
await page.screenshot({ path: join(imagesDirectory, 'demo-faults.png') });

await takeDashboardScreenshot({ browser, stack, demo }, join(imagesDirectory, 'dashboard.png'));
