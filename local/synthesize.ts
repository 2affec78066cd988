import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { runProcessGroup } from '../stand-ins/supabase/process-group.ts';

const projectRoot = join(import.meta.dirname, '..');

/** What a synthesized stack depends on, besides the packages in the lock file. */
const INPUTS = [
  'bin',
  'lib',
  'lambda',
  'local/synthesize.ts',
  'docs/runbook.md',
  'cdk.json',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'cdk.context.json',
  // What is installed, which the lock file only asks for.
  'node_modules/.package-lock.json',
];

/** Variables that reach the template. */
const INPUT_VARIABLES = ['CDK_DEFAULT_ACCOUNT', 'CDK_DEFAULT_REGION'];

/** Kept from one start to the next; not in the repository. */
export const LOCAL_FOLDER = join(projectRoot, '.local');

/** The folder in `.local/` with the last result, under the hash of its inputs. */
const KEPT = 'synthesized';

/**
 * Synthesizes like {@link synthesize}, or copies the last result if no input has changed since. The last result is in
 * `.local/`, if that is writable.
 *
 * @returns whether it was copied
 */
export async function synthesizeOrCopy(outputDirectory: string, signal?: AbortSignal): Promise<boolean> {
  const hash = await hashInputs();
  try {
    await cp(join(LOCAL_FOLDER, KEPT, hash), outputDirectory, { recursive: true });
    return true;
  } catch {
    // There is none, or another start has just replaced it.
    await rm(outputDirectory, { recursive: true, force: true });
  }
  await synthesize(outputDirectory, signal);
  // A source that was edited meanwhile may be in the result or not.
  if ((await hashInputs()) === hash) await keep(outputDirectory, hash, LOCAL_FOLDER).catch(() => {});
  return false;
}

/**
 * Keeps a synthesized stack instead of others. It copies elsewhere and renames, so that a kept stack is always whole,
 * whatever other starts do.
 */
export async function keep(directory: string, hash: string, localFolder: string): Promise<void> {
  const kept = join(localFolder, KEPT);
  await mkdir(kept, { recursive: true });
  // The name lets a later start find its owner if it is left behind (leftovers.ts).
  const unfinished = await mkdtemp(join(localFolder, `spotify-auth-cdk-${process.pid}-`));
  try {
    for (const name of await readdir(kept)) await rename(join(kept, name), join(unfinished, name));
    const copy = join(unfinished, 'copy');
    await cp(directory, copy, { recursive: true });
    await rename(copy, join(kept, hash));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function hashInputs(): Promise<string> {
  const variables = INPUT_VARIABLES.map((name) => process.env[name] ?? '');
  const hash = createHash('sha256').update(JSON.stringify([process.version, ...variables]));
  const files = await Promise.all(INPUTS.map(filesOf));
  for (const file of files.flat().sort()) {
    const content = await readFile(join(projectRoot, file)).catch(() => 'missing');
    hash.update(`\0${file}\0`).update(content);
  }
  return hash.digest('hex');
}

/** The files in a folder, or the file itself, as paths in the project. */
async function filesOf(path: string): Promise<string[]> {
  const entries = await readdir(join(projectRoot, path), { recursive: true, withFileTypes: true }).catch(
    () => null,
  );
  if (entries === null) return [path];
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(projectRoot.length + 1));
}

/**
 * Runs `cdk synth` for the stage `local`, as for a deployment.
 *
 * @param outputDirectory receives the template and the bundled functions
 * @param signal stops it: once the promise has rejected, nothing writes to the directory any more
 * @throws Error with the CDK's output, if it failed
 */
export async function synthesize(outputDirectory: string, signal?: AbortSignal): Promise<void> {
  const cdk = join(projectRoot, 'node_modules/aws-cdk/bin/cdk');
  const flags = ['synth', '--quiet', '--context', 'stage=local', '--output', outputDirectory];
  const binaries = join(projectRoot, 'node_modules/.bin');
  await runProcessGroup('cdk synth', process.execPath, [cdk, ...flags], {
    cwd: projectRoot,
    env: { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH']}`, CI: 'true' },
    signal,
  });
}
