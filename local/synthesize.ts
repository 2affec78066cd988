import { delimiter, join } from 'node:path';
import { runProcessGroup } from '../stand-ins/supabase/process-group.ts';

const projectRoot = join(import.meta.dirname, '..');

/**
 * Runs `cdk synth` for the stage `local`, just as for a deployment.
 *
 * @param outputDirectory where the template and the bundled functions go
 * @param signal ends it: once the promise has rejected, nothing writes to the directory any more
 * @throws Error with what the CDK wrote, where it failed
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
