import * as v from 'valibot';
import { findSettingElsewhere } from './settings/regions.ts';
import { consistentStageSettings } from './settings/rules-between-settings.ts';
import { display, isRecord } from './settings/setting-rules.ts';
import type { StageSettings } from './settings/stage-settings.ts';

/** cdk.json is invalid. The message is one line: the place, and what to write there. */
export class StageConfigurationError extends Error {
  readonly code = 'INVALID_STAGE_CONFIGURATION';
}

/**
 * Reads the settings of one stage from `context.stages` of cdk.json.
 *
 * @param stage name of the stage, as chosen with `-c stage=<stage>`
 * @param stages the value of `context.stages`
 * @param region region of the deployment, if it is known
 * @returns all settings, including defaults
 * @throws StageConfigurationError if the stage or one of its settings is wrong, missing or unknown
 */
export function parseStageConfiguration(stage: string, stages: unknown, region?: string): StageSettings {
  if (!isRecord(stages)) {
    throw new StageConfigurationError(
      `cdk.json, context.stages: must be an object with a member for each stage, got ${display(stages)}`,
    );
  }
  if (!Object.hasOwn(stages, stage)) {
    throw new StageConfigurationError(
      `cdk.json, context.stages: has no stage ${display(stage)}, choose one with -c stage=<stage>: ${Object.keys(stages).join(', ')}`,
    );
  }
  if (!/^[a-z][a-z0-9-]*$/.test(stage)) {
    throw new StageConfigurationError(
      `cdk.json, context.stages: the name of a stage must be lower-case letters, digits and hyphens, got ${display(stage)}`,
    );
  }
  const place = `cdk.json, context.stages.${stage}`;
  const values = stages[stage];
  if (!isRecord(values)) {
    throw new StageConfigurationError(
      `${place}: must be an object with the settings of the stage, got ${display(values)}`,
    );
  }
  // The rule for its value rejects a missing setting, and says what to write.
  const result = v.safeParse(consistentStageSettings, {
    supabaseUrl: undefined,
    allowedOrigins: undefined,
    ...values,
  });
  if (!result.success) {
    const [issue] = result.issues;
    throw new StageConfigurationError(`${place}.${v.getDotPath(issue)}: ${issue.message}`);
  }
  const elsewhere = findSettingElsewhere(result.output, region);
  if (elsewhere !== null) {
    throw new StageConfigurationError(`${place}.${elsewhere.setting}: ${elsewhere.problem}`);
  }
  return result.output;
}
