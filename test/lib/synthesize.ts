import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { SpotifyAuthStack } from '../../lib/spotify-auth-stack.ts';
import { parseStageConfiguration } from '../../lib/stage-configuration.ts';
import { requiredSettings } from './required-settings.ts';

/** The context of cdk.json, as the CDK hands it to the app. */
const { context } = JSON.parse(readFileSync(join(import.meta.dirname, '../../cdk.json'), 'utf8'));

/** The template of a stage `test` with these settings besides the required ones. Bundles nothing. */
export function synthesize(settings: Record<string, unknown> = {}): Template {
  return Template.fromStack(createStack(createApp(), 'test', settings));
}

export function createApp(): App {
  return new App({
    context: { ...context, 'aws:cdk:bundling-stacks': [] },
    // Takes seconds in every file, and only warns. `cdk synth` validates the stage that all running stacks are made from.
    builtinCloudFormationValidation: false,
  });
}

export function createStack(
  app: App,
  stage: string,
  settings: Record<string, unknown> = {},
): SpotifyAuthStack {
  const stages = { [stage]: { ...requiredSettings, ...settings } };
  return new SpotifyAuthStack(app, { stage, settings: parseStageConfiguration(stage, stages) });
}
