import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as v from 'valibot';
import { parseOrExplain } from './parse-or-explain.ts';

const manifestSchema = v.object({
  artifacts: v.record(
    v.string(),
    v.object({
      type: v.string(),
      environment: v.optional(v.string()),
      properties: v.optional(
        v.object({ templateFile: v.optional(v.string()), stackName: v.optional(v.string()) }),
      ),
    }),
  ),
});

/** The one stack of a CDK app. */
export interface SynthesizedStack {
  readonly stackName: string;
  readonly accountId: string;
  readonly region: string;
  readonly template: unknown;
}

/**
 * Reads the stack in the output of `cdk synth`.
 *
 * @returns an invented account and region if the app does not name them
 * @throws if the directory does not hold exactly one stack
 */
export function readStack(cdkOutDirectory: string): SynthesizedStack {
  const manifest = parseOrExplain(
    manifestSchema,
    readJson(join(cdkOutDirectory, 'manifest.json')),
    'manifest.json',
  );
  const stacks = Object.entries(manifest.artifacts).filter(
    ([, { type }]) => type === 'aws:cloudformation:stack',
  );
  const [stack] = stacks;
  if (!stack || stacks.length > 1) {
    throw new Error(`${cdkOutDirectory} must hold exactly one stack, got ${stacks.length}`);
  }
  const [artifactId, { environment, properties }] = stack;
  // "aws://<account>/<region>", with "unknown-account" and "unknown-region" if the app does not name them.
  const [, accountId = '', region = ''] = environment?.match(/^aws:\/\/([^/]+)\/(.+)$/) ?? [];
  return {
    stackName: properties?.stackName ?? artifactId,
    accountId: /^\d{12}$/.test(accountId) ? accountId : '123456789012',
    region: region === 'unknown-region' || region === '' ? 'us-east-1' : region,
    template: readJson(join(cdkOutDirectory, properties?.templateFile ?? `${artifactId}.template.json`)),
  };
}

/**
 * @param s3Key a function's `Code.S3Key`
 * @returns the directory with the function's bundle
 */
export function findAssetDirectory(cdkOutDirectory: string, s3Key: string): string {
  const directory = resolve(cdkOutDirectory, `asset.${s3Key.replace(/\.zip$/, '')}`);
  if (!existsSync(directory)) throw new Error(`${directory} is missing: synthesize the stack with bundling`);
  return directory;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`cannot read ${path}: synthesize the stack first`, { cause });
  }
}
