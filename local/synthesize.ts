import { execFile } from 'node:child_process';
import { delimiter, join } from 'node:path';

const projectRoot = join(import.meta.dirname, '..');

/**
 * Runs `cdk synth` for the stage `local`, just as for a deployment.
 *
 * @param outputDirectory where the template and the bundled functions go
 * @throws Error with what the CDK wrote, where it failed
 */
export async function synthesize(outputDirectory: string): Promise<void> {
  const cdk = join(projectRoot, 'node_modules/aws-cdk/bin/cdk');
  const flags = ['synth', '--quiet', '--context', 'stage=local', '--output', outputDirectory];
  const binaries = join(projectRoot, 'node_modules/.bin');
  const options = {
    cwd: projectRoot,
    env: { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH']}`, CI: 'true' },
  };
  await new Promise<void>((resolve, reject) => {
    execFile(process.execPath, [cdk, ...flags], options, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`cdk synth failed:\n${stderr}`));
    });
  });
}
