import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseStageConfiguration, StageConfigurationError } from '../../lib/stage-configuration.ts';

const { context } = JSON.parse(readFileSync(join(import.meta.dirname, '../../cdk.json'), 'utf8'));

describe('a stage', () => {
  test.each(Object.keys(context.stages))('%s of cdk.json is valid', (stage) => {
    expect(() => parseStageConfiguration(stage, context.stages)).not.toThrow();
  });
});

describe('stages that cannot be used are refused with one line that says what to write', () => {
  test.each<[stage: string, stages: unknown, line: string]>([
    ['dev', undefined, 'context.stages: must be an object with a member for each stage, got nothing'],
    ['dev', ['dev'], 'context.stages: must be an object with a member for each stage, got ["dev"]'],
    [
      'test',
      { dev: {}, prod: {} },
      'context.stages: has no stage "test", choose one with -c stage=<stage>: dev, prod',
    ],
    [
      'toString',
      { dev: {} },
      'context.stages: has no stage "toString", choose one with -c stage=<stage>: dev',
    ],
    [
      'My stage',
      { 'My stage': {} },
      'context.stages: the name of a stage must be lower-case letters, digits and hyphens, got "My stage"',
    ],
    ['dev', { dev: 'x' }, 'context.stages.dev: must be an object with the settings of the stage, got "x"'],
  ])('%s of %j', (stage, stages, line) => {
    expect(() => parseStageConfiguration(stage, stages)).toThrow(
      new StageConfigurationError(`cdk.json, ${line}`),
    );
  });
});
