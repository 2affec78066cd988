import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const projectRoot = join(import.meta.dirname, '../..');
const cdk = JSON.parse(readFileSync(join(projectRoot, 'cdk.json'), 'utf8'));

/** Leaves out the CDK's own validation, which takes seconds: the first test has it. */
const unvalidated = { CDK_VALIDATION: 'false' };

/** An address of this machine without a server. */
const unreachable = 'http://127.0.0.1:9';

// Within the checkout, as the CDK does it: a source map names its sources relative to this folder.
mkdirSync(join(projectRoot, 'cdk.out'), { recursive: true });
const scratch = mkdtempSync(join(projectRoot, 'cdk.out/test-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('the CDK app', () => {
  const unbundled = { ...cdk.context, 'aws:cdk:bundling-stacks': [] };

  test('synthesizes the stage dev of cdk.json when no other is chosen', () => {
    const { status, outdir } = runApp(unbundled);

    expect(status).toBe(0);
    expect(readdirSync(outdir)).toContain('SpotifyAuth-dev.template.json');
  });

  test('ends with one line and exit code 1 when cdk.json cannot be used, and synthesizes nothing', () => {
    const { status, stdout, stderr, outdir } = runApp({ ...unbundled, stages: { dev: {} } });

    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'cdk.json, context.stages.dev.supabaseUrl: must be an address such as https://<project>.supabase.co, without a path, got nothing\n',
    });
    expect(readdirSync(outdir)).toEqual([]);
  });

  test('refuses a setting that is not in the region to deploy to, which counts only where there are credentials', () => {
    const stages = {
      dev: { ...cdk.context.stages.dev, alarmTopicArn: 'arn:aws:sns:eu-west-1:123456789012:alarms' },
    };
    const region = { ...unvalidated, CDK_DEFAULT_REGION: 'us-east-1' };
    const place = { ...region, CDK_DEFAULT_ACCOUNT: '123456789012' };
    const { status, stderr } = runApp({ ...unbundled, stages }, cdk.app, place);

    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        'cdk.json, context.stages.dev.alarmTopicArn: must be in region us-east-1, in which the stack is deployed, got eu-west-1\n',
    });
    expect(runApp({ ...unbundled, stages }, cdk.app, region).status).toBe(0);
  });

  test('fails where a finding of the rules for AWS and serverless solutions is not acknowledged', () => {
    const script = `
      const { Validations } = await import("aws-cdk-lib");
      Validations.prototype.acknowledge = () => {};
      await import("./bin/app.ts");`;
    const { status, stderr } = runApp(unbundled, `node --input-type=module --eval '${script}'`, unvalidated);

    expect(status).toBe(1);
    expect(stderr).toContain('AwsSolutions-APIG4');
    expect(stderr).toContain('Serverless-LambdaDLQ');
  });
});

describe('the bundle of each function', () => {
  const stages = { test: { supabaseUrl: unreachable, allowedOrigins: ['https://app.example.com'] } };
  const { outdir } = runApp({ ...cdk.context, stage: 'test', stages }, cdk.app, unvalidated);
  const template = JSON.parse(readFileSync(join(outdir, 'SpotifyAuth-test.template.json'), 'utf8'));
  const functions = Object.entries<FunctionResource>(template.Resources)
    .filter(([, { Type }]) => Type === 'AWS::Lambda::Function')
    .map(([logicalId, { Properties }]) => ({
      logicalId,
      bundle: join(outdir, `asset.${Properties.Code.S3Key.replace('.zip', '')}`),
      environment: Properties.Environment.Variables,
    }));

  test('is in the template of the chosen stage', () => {
    expect(functions).toHaveLength(2);
  });

  test.each(functions)('is an ES module with a source map: $logicalId', ({ bundle }) => {
    expect(readdirSync(bundle)).toEqual(['index.mjs', 'index.mjs.map']);
    const code = readFileSync(join(bundle, 'index.mjs'), 'utf8');
    expect(code).toMatch(/export\{\w+ as handler\}/);
    // As an ES module it would load what `fetch` consists of, at every cold start.
    expect(code).not.toMatch(/from ?"(node:)?http"/);
  });

  test.each(functions)('is the same wherever the checkout lies: $logicalId', ({ bundle }) => {
    for (const file of readdirSync(bundle)) {
      expect(readFileSync(join(bundle, file), 'utf8')).not.toContain(projectRoot);
    }
  });

  test.each(functions)(
    'has a handler, and needs nothing beside it: $logicalId',
    ({ bundle, environment }) => {
      const elsewhere = mkdtempSync(join(tmpdir(), 'spotify-auth-bundle-'));
      cpSync(bundle, elsewhere, { recursive: true });

      const script = `const { handler } = await import('./index.mjs'); process.stdout.write(\`handler is a \${typeof handler}\\n\`, () => process.exit());`;
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
        cwd: elsewhere,
        encoding: 'utf8',
        env: {
          ...environment,
          SPOTIFY_SECRET_ARN: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:Spotify-AbCdEf',
          SUPABASE_SECRET_ARN: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:Supabase-AbCdEf',
          RESCUE_QUEUE_URL: 'https://sqs.eu-west-1.amazonaws.com/123456789012/RescueQueue',
          SWEEP_QUEUE_URL: 'https://sqs.eu-west-1.amazonaws.com/123456789012/SweepQueue',
          RESCUE_KEY_ARN: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:RescueKey-AbCdEf',
          AWS_ENDPOINT_URL_SECRETS_MANAGER: unreachable,
          AWS_REGION: 'eu-west-1',
          AWS_ACCESS_KEY_ID: 'test',
          AWS_SECRET_ACCESS_KEY: 'test',
        },
      });
      rmSync(elsewhere, { recursive: true });

      expect(stdout).toContain('handler is a function');
    },
  );
});

interface FunctionResource {
  readonly Type: string;
  readonly Properties: {
    readonly Code: { readonly S3Key: string };
    readonly Environment: { readonly Variables: Record<string, string> };
  };
}

/** Runs a command, by default that of cdk.json, as the CDK does: through a shell, the context in the environment. */
function runApp(
  context: Record<string, unknown>,
  command: string = cdk.app,
  environment: Readonly<Record<string, string>> = {},
) {
  const outdir = mkdtempSync(join(scratch, 'app-'));
  const result = spawnSync(command, {
    shell: true,
    cwd: projectRoot,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: [join(projectRoot, 'node_modules/.bin'), process.env['PATH']].join(delimiter),
      CDK_CONTEXT_JSON: JSON.stringify(context),
      CDK_OUTDIR: outdir,
      ...environment,
    },
  });
  return { ...result, outdir };
}
