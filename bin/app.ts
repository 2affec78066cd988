import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { SpotifyAuthStack } from '../lib/spotify-auth-stack.ts';
import { parseStageConfiguration, StageConfigurationError } from '../lib/stage-configuration.ts';

// `-c stage=<stage>` chooses one of the stages in cdk.json; the default is `dev`.
const app = new App();
// Synthesis fails on a finding that is neither fixed nor acknowledged at its construct.
Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
try {
  const stage = app.node.tryGetContext('stage') ?? 'dev';
  // Without credentials the CDK invents a region, so we only use it together with an account.
  const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env;
  const settings = parseStageConfiguration(
    stage,
    app.node.tryGetContext('stages'),
    account === undefined ? undefined : region,
  );
  new SpotifyAuthStack(app, { stage, settings });
} catch (error) {
  if (!(error instanceof StageConfigurationError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
