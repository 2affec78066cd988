import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const projectRoot = join(import.meta.dirname, '../..');

interface Template {
  readonly Resources: Record<string, { readonly Type: string; readonly Properties: Record<string, unknown> }>;
}

/**
 * Synthesizes a stage with the app that is deployed to AWS, and changes in its template what ministack cannot do.
 *
 * @param settings the stage, as it would stand in cdk.json
 * @param outputDirectory for `cdk deploy --app`
 */
export async function synthesizeForMinistack(
  stage: string,
  settings: object,
  outputDirectory: string,
): Promise<void> {
  const { context } = JSON.parse(readFileSync(join(projectRoot, 'cdk.json'), 'utf8'));
  // As the CDK's command line starts the app, but for the stage, which cdk.json has not.
  const app = spawn(process.execPath, ['bin/app.ts'], {
    cwd: projectRoot,
    env: {
      ...process.env,
      CDK_OUTDIR: outputDirectory,
      CDK_CONTEXT_JSON: JSON.stringify({ ...context, stage, stages: { [stage]: settings } }),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [output, [exitCode]] = await Promise.all([text(app.stderr), once(app, 'close')]);
  if (exitCode !== 0) throw new Error(`the app has failed:\n${output}`);
  const file = join(outputDirectory, `SpotifyAuth-${stage}.template.json`);
  writeFileSync(file, JSON.stringify(adaptToMinistack(JSON.parse(readFileSync(file, 'utf8')))));
}

/**
 * The template without saved queries and alarms on metric math, which ministack refuses, and with `Fn::GetAtt` for the ARN of
 * a secret, where `Ref` gives its name.
 */
function adaptToMinistack(template: Template): unknown {
  const resources = Object.entries(template.Resources);
  const refused = resources.filter(
    ([, { Type, Properties }]) =>
      Type === 'AWS::Logs::QueryDefinition' || (Type === 'AWS::CloudWatch::Alarm' && 'Metrics' in Properties),
  );
  const refusedIds = new Set(refused.map(([id]) => id));
  const secretIds = new Set(
    resources.filter(([, { Type }]) => Type === 'AWS::SecretsManager::Secret').map(([id]) => id),
  );
  const Resources = Object.fromEntries(resources.filter(([id]) => !refusedIds.has(id)));
  return JSON.parse(JSON.stringify({ ...template, Resources }), (_key, value) => {
    if (secretIds.has(value?.Ref)) return { 'Fn::GetAtt': [value.Ref, 'Id'] };
    // The dashboard shows every alarm.
    if (refusedIds.has(value?.['Fn::GetAtt']?.[0])) return 'an alarm that ministack has not';
    return value;
  });
}
