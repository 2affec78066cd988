import { App } from 'aws-cdk-lib';
import { SpotifyAuthStack } from '../lib/spotify-auth-stack.ts';
import { parseStageConfiguration, StageConfigurationError } from '../lib/stage-configuration.ts';

// The stage is chosen with `-c stage=<stage>` among those of cdk.json; without it, it is `dev`.
const app = new App();
try {
  const stage = app.node.tryGetContext('stage') ?? 'dev';
  const configuration = parseStageConfiguration(stage, app.node.tryGetContext('stages'));
  new SpotifyAuthStack(app, { stage, configuration });
} catch (error) {
  if (!(error instanceof StageConfigurationError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
