import { readFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import type { Findings } from '../figure.ts';

const LARGEST_SHOWN = 20;

/**
 * What each package adds to the deployed bundles: attributes every character to a package, by their source maps. Only a
 * report.
 */
export async function measureBundle(bench: Bench): Promise<Findings> {
  const { functions } = await bench.world();
  const report: string[] = [];
  for (const [name, { taskRoot }] of [
    ['status', functions.status],
    ['sweeper', functions.sweeper],
  ] as const) {
    bench.progress(`What the bundle of the ${name} function consists of`);
    const bytes = await weighPackages(taskRoot);
    const total = [...bytes.values()].reduce((sum, size) => sum + size, 0);
    const largest = [...bytes].sort(([, one], [, other]) => other - one);
    const rest = largest.slice(LARGEST_SHOWN).reduce((sum, [, size]) => sum + size, 0);
    const line = (size: number, of: string) =>
      `  ${(size / 1_000).toFixed(1).padStart(6)} kB ${((100 * size) / total).toFixed(1).padStart(5)} %  ${of}`;
    report.push(
      `Bundle of the ${name} function, ${(total / 1_000).toFixed(0)} kB minified:`,
      ...largest.slice(0, LARGEST_SHOWN).map(([of, size]) => line(size, of)),
      line(rest, `${Math.max(0, largest.length - LARGEST_SHOWN)} more`),
      '',
    );
  }
  return { figures: [], report };
}

async function weighPackages(taskRoot: string): Promise<Map<string, number>> {
  const code = await readFile(join(taskRoot, 'index.mjs'), 'utf8');
  const map = new SourceMap(JSON.parse(await readFile(join(taskRoot, 'index.mjs.map'), 'utf8')));
  const bytes = new Map<string, number>();
  for (const [lineIndex, line] of code.split('\n').entries()) {
    for (let column = 0; column < line.length; column += 1) {
      const entry = map.findEntry(lineIndex, column);
      const origin = 'originalSource' in entry ? packageOf(entry.originalSource) : 'the bundler';
      bytes.set(origin, (bytes.get(origin) ?? 0) + 1);
    }
  }
  return bytes;
}

/** `…/node_modules/@scope/name/…` is `@scope/name`; everything outside is ours. */
function packageOf(source: string): string {
  return /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? 'this project';
}
