import { createHash } from 'node:crypto';
import { access, cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
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
];

/**
 * Synthesizes like {@link synthesize}, or copies the last result if no input has changed since. The last result is in
 * `.local/`, if that is writable.
 *
 * @returns whether it was copied
 */
export async function synthesizeOrCopy(outputDirectory: string, signal?: AbortSignal): Promise<boolean> {
  const keptIn = join(projectRoot, '.local/synthesized');
  const kept = join(keptIn, await hashInputs());
  if (await exists(kept)) {
    await cp(kept, outputDirectory, { recursive: true });
    return true;
  }
  await synthesize(outputDirectory, signal);
  await keep(outputDirectory, kept, keptIn).catch(() => {});
  return false;
}

/** Copies under a temporary name and renames, so that an interrupted copy is never used. */
async function keep(directory: string, kept: string, keptIn: string): Promise<void> {
  const unfinished = `${kept}-${process.pid}`;
  await rm(keptIn, { recursive: true, force: true });
  await mkdir(keptIn, { recursive: true });
  await cp(directory, unfinished, { recursive: true });
  await rename(unfinished, kept);
}

async function hashInputs(): Promise<string> {
  const hash = createHash('sha256').update(process.version);
  const files = await Promise.all(INPUTS.map(filesOf));
  for (const file of files.flat().sort()) {
    hash.update(`\0${file}\0`).update(await readFile(join(projectRoot, file)));
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

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
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
