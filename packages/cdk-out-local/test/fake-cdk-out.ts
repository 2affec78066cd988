import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import type { Mappings } from '../src/intrinsic-functions.ts';

export type FakeResources = Record<string, { Type: string; [key: string]: unknown }>;

const directories: string[] = [];

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/**
 * Writes what `cdk synth` would: one stack, and a bundle for each piece of code.
 *
 * @param codeByAsset the `index.mjs` of each asset; its key is what `Code.S3Key` names, without `.zip`
 * @returns the path of the directory, which is removed after the tests
 */
export function createFakeCdkOut(
  resources: FakeResources,
  codeByAsset: Readonly<Record<string, string>> = {},
  mappings: Mappings = {},
): string {
  const directory = mkdtempSync(join(tmpdir(), 'fake-cdk-out-'));
  directories.push(directory);
  const manifest = {
    artifacts: {
      TestStack: {
        type: 'aws:cloudformation:stack',
        environment: 'aws://unknown-account/unknown-region',
        properties: { templateFile: 'TestStack.template.json' },
      },
      'TestStack.assets': { type: 'cdk:asset-manifest' },
    },
  };
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
  writeFileSync(
    join(directory, 'TestStack.template.json'),
    JSON.stringify({ Mappings: mappings, Resources: resources }),
  );
  for (const [asset, code] of Object.entries(codeByAsset)) {
    mkdirSync(join(directory, `asset.${asset}`));
    writeFileSync(join(directory, `asset.${asset}`, 'index.mjs'), code);
  }
  return directory;
}

/** A role that a service can assume, with the statements given. */
export function createRole(service: string, statements: readonly unknown[] = []) {
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: createPolicyDocument([
        { Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' },
      ]),
      ...(statements.length > 0 && {
        Policies: [{ PolicyName: 'inline', PolicyDocument: createPolicyDocument(statements) }],
      }),
    },
  };
}

export function createPolicyDocument(statements: readonly unknown[]) {
  return { Version: '2012-10-17', Statement: statements };
}

/** A function that runs as the role `<asset>Role`, with the asset's code. */
export function createFunction(asset: string, properties: Readonly<Record<string, unknown>> = {}) {
  return {
    Type: 'AWS::Lambda::Function',
    Properties: {
      Code: { S3Bucket: 'assets', S3Key: `${asset}.zip` },
      FunctionName: asset,
      Handler: 'index.handler',
      Role: { 'Fn::GetAtt': [`${asset}Role`, 'Arn'] },
      Runtime: 'nodejs24.x',
      ...properties,
    },
  };
}
