import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setInterval } from 'node:timers/promises';
import type { Cloud } from 'cdk-out-local';
import { type BuildContext, context } from 'esbuild';
import type { Demo } from '../demo/demo-server.ts';
import { FUNCTION_BUNDLE } from '../lib/function-bundle.ts';

/** The default port of Node's inspector, which debuggers try. */
const INSPECTOR_PORT = 9229;

/** Interval of polling the sources. Watching instead misses changes, on WSL and from editors that rename files. */
const LOOK_EVERY_MILLISECONDS = 500;

/** The functions by the name of their folder in `lambda/`, and the template's output with each one's name. */
const FUNCTIONS = { status: 'StatusFunctionName', sweeper: 'SweeperFunctionName' } as const;

/** A function of this project, by its folder. */
export type FunctionName = keyof typeof FUNCTIONS;

export const functionNames = Object.keys(FUNCTIONS) as FunctionName[];

/** The part of the demo that takes changes. */
type Page = Pick<Demo, 'renewPage'>;

export interface LiveSourcesOptions {
  readonly cloud: Cloud;
  readonly demo: Page;
  /** Lets a debugger attach to this function. @default - none */
  readonly inspect?: FunctionName | undefined;
  /** The inspector's port. @default 9229, which debuggers try */
  readonly inspectorPort?: number;
  /** The checkout whose sources are watched. @default - this one */
  readonly projectRoot?: string;
  /** Receives a line for each change, and the address for debuggers. */
  readonly onChange: (line: string) => void;
}

/**
 * Applies source changes while the stack runs: it bundles the functions again, readable and with source maps, and
 * the page. It only reports changes that need another synthesis or another database.
 *
 * @returns stops watching
 */
export async function watchSources({
  cloud,
  demo,
  inspect,
  inspectorPort = INSPECTOR_PORT,
  projectRoot = join(import.meta.dirname, '..'),
  onChange,
}: LiveSourcesOptions): Promise<() => Promise<void>> {
  await using started = new AsyncDisposableStack();
  const bundles = new Map<FunctionName, BuildContext>();
  for (const name of functionNames) {
    const bundle = await contextOf(name, projectRoot, cloud.lambda.codeDirectoryOf(idOf(cloud, name)));
    started.defer(() => bundle.dispose());
    bundles.set(name, bundle);
  }

  const renewFunctions = async () => {
    for (const [name, bundle] of bundles) {
      await bundle.rebuild();
      await cloud.lambda.redeploy(idOf(cloud, name));
    }
  };

  const takeOn = async (files: readonly string[], renew: () => Promise<void>) => {
    if (files.length === 0) return;
    const what = files.join(', ');
    try {
      await renew();
      onChange(`Live: ${what}`);
    } catch (error) {
      onChange(`Not live: ${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };

  let known = await readTimes(projectRoot);
  await renewFunctions();
  if (inspect !== undefined) {
    await cloud.lambda.inspect(idOf(cloud, inspect), inspectorPort);
    onChange(`Debugger: the ${inspect} function waits at 127.0.0.1:${inspectorPort}`);
  }

  const end = new AbortController();
  const watching = (async () => {
    for await (const _ of setInterval(LOOK_EVERY_MILLISECONDS, undefined, { signal: end.signal })) {
      const times = await readTimes(projectRoot);
      const changed = changesBetween(known, times);
      known = times;
      await takeOn(changed.filter(inFolders(['lambda'])), renewFunctions);
      await takeOn(changed.filter(inFolders(PAGE_FOLDERS)), demo.renewPage);
      const forRestart = changed.filter((file) => needsRestart(file));
      if (forRestart.length > 0)
        onChange(`Restart "npm run dev" to apply the change of ${forRestart.join(', ')}`);
    }
  })().catch((error) => {
    if (!end.signal.aborted) onChange(`Changes are no longer live: ${error}`);
  });
  started.defer(async () => {
    end.abort();
    await watching;
  });
  const running = started.move();
  return () => running.disposeAsync();
}

const PAGE_FOLDERS = ['frontend/src', 'demo/page', 'demo/dashboard/page'];

/** The sources that the running stack was made from at its start. */
const RESTART_FOLDERS = [
  'bin',
  'lib',
  'supabase/migrations',
  'local',
  'stand-ins',
  'packages/cdk-out-local/src',
];

/** Files in `lambda/` that the template depends on as well. */
const SHARED_WITH_THE_TEMPLATE = ['lambda/environment-variables.ts', 'lambda/metric-names.ts'];

function needsRestart(file: string): boolean {
  return inFolders(RESTART_FOLDERS)(file) || SHARED_WITH_THE_TEMPLATE.includes(file);
}

function inFolders(folders: readonly string[]): (file: string) => boolean {
  return (file) => folders.some((folder) => file.startsWith(`${folder}/`));
}

/** The modification time of each source, by its path in the checkout. */
async function readTimes(projectRoot: string): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  for (const folder of ['lambda', ...PAGE_FOLDERS, ...RESTART_FOLDERS]) {
    const entries = await readdir(join(projectRoot, folder), { recursive: true, withFileTypes: true }).catch(
      // It has just been removed.
      () => [],
    );
    for (const entry of entries) {
      if (!/\.(ts|tsx|cjs|mjs|sql|css|html)$/.test(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      const written = await stat(path).catch(() => null);
      if (written) times.set(relative(projectRoot, path), written.mtimeMs);
    }
  }
  return times;
}

function changesBetween(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  const files = new Set([...before.keys(), ...after.keys()]);
  return [...files].filter((file) => before.get(file) !== after.get(file)).sort();
}

function idOf({ template }: Cloud, name: FunctionName): string {
  return template.outputs[FUNCTIONS[name]] ?? '';
}

/** A function's bundle as `cdk synth` makes it, except for what debuggers need. */
function contextOf(name: FunctionName, projectRoot: string, directory: string): Promise<BuildContext> {
  return context({
    ...FUNCTION_BUNDLE,
    absWorkingDir: projectRoot,
    entryPoints: [join('lambda', name, 'handler.ts')],
    outfile: join(directory, 'index.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    sourcemap: true,
    logLevel: 'silent',
  });
}
