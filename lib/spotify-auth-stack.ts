import {
  Annotations,
  CfnOutput,
  DefaultStackSynthesizer,
  type IReusableStackSynthesizer,
  Stack,
} from 'aws-cdk-lib';
import { ManagedPolicy, PermissionsBoundary } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { Alarms } from './alarms.ts';
import { Credentials } from './credentials.ts';
import { DashboardAddress } from './dashboard/dashboard-address.ts';
import { LogQueries } from './log-queries.ts';
import { OperatorDashboard } from './operator-dashboard.ts';
import { RefreshSweeper } from './refresh-sweeper.ts';
import { RescueQueue } from './rescue-queue.ts';
import { Runbook } from './runbook.ts';
import { findExamples } from './settings/examples.ts';
import type { StageSettings } from './settings/stage-settings.ts';
import { StatusApi } from './status-api.ts';

export interface SpotifyAuthStackProps {
  /** Name of the stage: the end of the stack's name, so that one account can hold several stages. */
  readonly stage: string;

  /** All settings of the stage. Each construct gets those that it picks. */
  readonly settings: StageSettings;
}

/** Everything that keeps the Spotify connections of one stage alive. */
export class SpotifyAuthStack extends Stack {
  constructor(scope: Construct, { stage, settings }: SpotifyAuthStackProps) {
    super(scope, `SpotifyAuth-${stage}`, {
      description: `Keeps the Spotify connections of Bondhu's users alive (stage ${stage}).`,
      terminationProtection: settings.terminationProtection,
      tags: settings.tags ?? {},
      ...(settings.bootstrapQualifier !== undefined && {
        // The CDK's own types are incompatible here under `exactOptionalPropertyTypes`.
        synthesizer: new DefaultStackSynthesizer({
          qualifier: settings.bootstrapQualifier,
        }) as IReusableStackSynthesizer,
      }),
    });
    this.#limitRoles(settings.permissionsBoundary);

    // Only a warning, so that a fresh checkout can be synthesized; `npm run deploy` refuses to deploy with one.
    for (const setting of findExamples(settings)) {
      Annotations.of(this).addWarningV2(
        `spotify-auth:example-${setting}`,
        `cdk.json, context.stages.${stage}.${setting} is still an example: write your own value there before you deploy`,
      );
    }

    const credentials = new Credentials(this, 'Credentials', settings);
    const rescueQueue = new RescueQueue(this, 'RescueQueue');
    const shared = { ...settings, credentials, rescueQueue };
    const statusApi = new StatusApi(this, 'StatusApi', shared);
    const refreshSweeper = new RefreshSweeper(this, 'RefreshSweeper', shared);
    const address = new DashboardAddress(this, 'DashboardAddress');
    const runbook = new Runbook({
      stage,
      outputs: {
        StatusFunctionName: statusApi.function.functionName,
        DeadLetterQueueUrl: refreshSweeper.deadLetterQueue.queueUrl,
        RescueDeadLetterQueueArn: rescueQueue.deadLetterQueue.queueArn,
      },
    });
    const watched = { ...settings, statusApi, refreshSweeper, rescueQueue, runbook, address };
    const alarms = new Alarms(this, 'Alarms', watched);
    const logQueries = new LogQueries(this, 'LogQueries', { statusApi, refreshSweeper });
    new OperatorDashboard(this, 'OperatorDashboard', { ...watched, alarms, logQueries });

    new CfnOutput(this, 'ApiUrl', {
      description: "Address of the status API, for Bondhu's frontend.",
      value: statusApi.url,
    });
    new CfnOutput(this, 'StatusFunctionName', {
      description: 'Function behind the status API.',
      value: statusApi.function.functionName,
    });
    new CfnOutput(this, 'SweeperFunctionName', {
      description: 'The refresh sweeper. Invoke it with {"command": "sweep"} to sweep now.',
      value: refreshSweeper.function.functionName,
    });
    new CfnOutput(this, 'SweepsAtOnce', {
      description:
        'Invocations of the sweeper that may run at once, without manual ones; the rest of the quota is for status calls.',
      value: String(refreshSweeper.mostAtOnce),
    });
    new CfnOutput(this, 'SpotifySecretArn', {
      description: 'Secret to fill in with {"client_id": "...", "client_secret": "..."}.',
      value: credentials.spotify.secretArn,
    });
    new CfnOutput(this, 'SupabaseSecretArn', {
      description: 'Secret to fill in with {"secret_key": "sb_secret_...", "jwt_secret": "only with HS256"}.',
      value: credentials.supabase.secretArn,
    });
    new CfnOutput(this, 'DeadLetterQueueUrl', {
      description: 'Queue of the sweeps that failed for good.',
      value: refreshSweeper.deadLetterQueue.queueUrl,
    });
    new CfnOutput(this, 'RescueDeadLetterQueueArn', {
      description: 'Queue of the rescued tokens that could not be stored.',
      value: rescueQueue.deadLetterQueue.queueArn,
    });
    new CfnOutput(this, 'ScheduleName', {
      description: 'Schedule that starts the sweeps.',
      value: refreshSweeper.schedule.scheduleName,
    });
    new CfnOutput(this, 'EventBusName', {
      description: 'Event bus that tells other teams which users have to reconnect: name or ARN.',
      value: settings.eventBus,
    });
    new CfnOutput(this, 'AlarmTopicArn', {
      description: 'Topic for alarms. Subscribe to it to be notified.',
      value: alarms.topic.topicArn,
    });
    new CfnOutput(this, 'DashboardUrl', {
      description: 'Dashboard of this stage.',
      value: address.url,
    });
    if (statusApi.domain !== null) {
      new CfnOutput(this, 'DomainTarget', {
        description: "Name that the DNS record of the API's domain has to point at.",
        value: statusApi.domain.regionalDomainName,
      });
    }
  }

  #limitRoles(boundary: string | undefined): void {
    if (boundary === undefined) return;
    const policy = boundary.startsWith('arn:')
      ? ManagedPolicy.fromManagedPolicyArn(this, 'PermissionsBoundary', boundary)
      : ManagedPolicy.fromManagedPolicyName(this, 'PermissionsBoundary', boundary);
    PermissionsBoundary.of(this).apply(policy);
  }
}
