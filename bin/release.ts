import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createReleaseNotes, ReleaseError } from './release-notes.ts';

// Makes what a release consists of, in release/: the notes, and the files to attach in release/assets/. It publishes
// nothing, so it can be tried anywhere: npm run release -- v1.2.3

const projectRoot = join(import.meta.dirname, '..');
const assets = join(projectRoot, 'release/assets');

/** Of those stages of cdk.json the templates are attached, which are meant for AWS. */
const STAGES = ['dev', 'prod'];

function main(tag: string): void {
  const { GITHUB_SERVER_URL = 'https://github.com', GITHUB_REPOSITORY = '<owner>/<repository>' } =
    process.env;
  const notes = createReleaseNotes({
    tag,
    versions: Object.fromEntries(
      ['package.json', 'frontend/package.json'].map((path) => [path, JSON.parse(read(path)).version]),
    ),
    changelog: read('CHANGELOG.md'),
    filesUrl: `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/blob/${tag}`,
  });

  rmSync(join(projectRoot, 'release'), { recursive: true, force: true });
  mkdirSync(assets, { recursive: true });
  writeFileSync(join(projectRoot, 'release/notes.md'), `${notes}\n`);
  // Whole, with development packages marked as such: --omit=dev also leaves out what ships and is used in development.
  writeFileSync(join(assets, 'sbom.cdx.json'), run('npm', 'sbom', '--sbom-format=cyclonedx'));
  run('npm', 'run', 'build', '-w', 'frontend');
  run('npm', 'pack', '-w', 'frontend', '--pack-destination', assets);
  for (const stage of STAGES) synthesize(stage);
}

/** The template as it stands in cdk.json; the functions' code is not in it, only its hashes. */
function synthesize(stage: string): void {
  // Within the checkout, as the CDK does it: a source map names its sources relative to this folder.
  mkdirSync(join(projectRoot, 'cdk.out'), { recursive: true });
  const output = mkdtempSync(join(projectRoot, 'cdk.out/release-'));
  try {
    run('npm', 'run', 'synth', '--', '--context', `stage=${stage}`, '--output', output);
    const template = `SpotifyAuth-${stage}.template.json`;
    copyFileSync(join(output, template), join(assets, template));
  } finally {
    rmSync(output, { recursive: true });
  }
}

function read(path: string): string {
  return readFileSync(join(projectRoot, path), 'utf8');
}

/** @returns what the command wrote to its standard output */
function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: projectRoot,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new ReleaseError(`${[command, ...args].join(' ')} failed:\n${stdout}${stderr}`);
  return stdout;
}

try {
  main(process.argv[2] ?? '');
  process.stdout.write('release/ has the notes and the assets.\n');
} catch (error) {
  if (!(error instanceof ReleaseError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
