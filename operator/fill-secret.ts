import { DescribeSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import * as v from 'valibot';
import { SPOTIFY_CLIENT, SUPABASE_CREDENTIALS } from '../lambda/adapters/secret.ts';
import type { Command, CommandResult } from './command.ts';
import type { Deployment } from './deployment.ts';
import { invokeSweeper } from './invoke-sweeper.ts';
import { OperatorError, UsageError } from './operator-error.ts';
import { withProgress } from './progress.ts';
import { parseSecretValue } from './secret-value.ts';
import { readStandardInput } from './standard-input.ts';

const SECRETS = {
  spotify: { format: SPOTIFY_CLIENT, output: 'SpotifySecretArn' },
  supabase: { format: SUPABASE_CREDENTIALS, output: 'SupabaseSecretArn' },
} as const;

/** The sweeper's result of testing the value. */
const Trial = v.object({
  answer: v.picklist(['accepted', 'refused', 'unknown']),
  detail: v.string(),
  loses: v.nullable(v.picklist(['client', 'jwt_secret'])),
});

type Trial = v.InferOutput<typeof Trial>;

/** What the loss of the current value would break, and the option that confirms it. */
const LOSSES = {
  client: {
    option: 'new-app',
    warning:
      'this client id differs from the current one, which all grants belong to: every user would have to reconnect. If you mean that, add --new-app',
  },
  jwt_secret: {
    option: 'without-jwt-secret',
    warning:
      'the current value has a jwt_secret and this one has none: user tokens signed with it would be rejected. If there are no such tokens any more, add --without-jwt-secret',
  },
} as const;

export const fillSecret: Command = {
  synopsis: 'spotify|supabase',
  summary: 'reads a secret from standard input, tests it, then stores it',
  description: `The value is JSON, and replaces the whole current value:

  spotify    ${SPOTIFY_CLIENT.example}
  supabase   ${SUPABASE_CREDENTIALS.example}
             and "jwt_secret": "..." if user tokens are signed with HS256

A terminal does not echo it; end it with the last brace and Enter, or with Ctrl-D. The command compares the value with
the current one and tests it against Spotify or Supabase. It rejects a value that would break the stage, and then writes
nothing. No deployment is needed afterwards.

  --new-app              accepts a client id that differs from the current one: every user has to reconnect
  --without-jwt-secret   accepts a Supabase value without jwt_secret although the current one has it
  --untried              writes a value that cannot be tested now, because Spotify or Supabase does not answer`,
  options: {
    'new-app': { type: 'boolean' },
    'without-jwt-secret': { type: 'boolean' },
    untried: { type: 'boolean' },
  },
  fields: {
    secret: 'the name of the secret',
    trial: 'the result of testing the value',
    version_id: 'the version that is now current',
    previous_version_id: 'the previous version; null: there is none',
    go_back: 'the command that makes the previous version current again; null: there is none',
  },
  parse({ positionals, values }) {
    const [secret, ...others] = positionals;
    // The message does not repeat the argument: it may be the secret.
    if (others.length > 0 || (secret !== 'spotify' && secret !== 'supabase')) {
      throw new UsageError('fill-secret takes spotify or supabase, and reads the value from standard input');
    }
    return async (deployment) => {
      const { format, output } = SECRETS[secret];
      const secretId = deployment.output(output);
      const text = await readStandardInput(
        `Value of ${secretId} (${deployment.stackName}): type or paste ${format.example}, then press Enter. The terminal does not show it.`,
      );
      const value = parseSecretValue(format, text);
      const current = await findCurrentVersion(deployment, secretId);
      const event = { command: 'try-secret', secret, value: JSON.parse(value) };
      const trial = await invokeSweeper(deployment, event, 'testing the value', Trial);
      refuseToBreak(trial, values);
      return write(deployment, secretId, value, current, trial);
    };
  },
};

/** @throws OperatorError if the value would break something that works now */
function refuseToBreak({ answer, detail, loses }: Trial, options: Readonly<Record<string, unknown>>): void {
  if (loses !== null && options[LOSSES[loses].option] !== true) {
    throw new OperatorError(`nothing was written: ${LOSSES[loses].warning}`);
  }
  if (answer === 'refused') throw new OperatorError(`nothing was written: ${detail}`);
  if (answer === 'unknown' && options['untried'] !== true) {
    throw new OperatorError(
      `nothing was written, because the value could not be tested: ${detail}; try again, or add --untried`,
    );
  }
}

/** @returns the id of the current version; null if the secret is empty */
async function findCurrentVersion({ aws }: Deployment, secretId: string): Promise<string | null> {
  const { VersionIdsToStages = {} } = await withProgress(
    'reading the secret',
    aws.secretsManager.send(new DescribeSecretCommand({ SecretId: secretId })),
  );
  const [id = null] = Object.keys(VersionIdsToStages).filter((versionId) =>
    VersionIdsToStages[versionId]?.includes('AWSCURRENT'),
  );
  return id;
}

async function write(
  { aws, stackName }: Deployment,
  secretId: string,
  value: string,
  previous: string | null,
  { detail }: Trial,
): Promise<CommandResult> {
  const { Name = secretId, VersionId = '' } = await withProgress(
    'writing the secret',
    aws.secretsManager.send(new PutSecretValueCommand({ SecretId: secretId, SecretString: value })),
  );
  const goBack =
    previous === null
      ? null
      : `aws secretsmanager update-secret-version-stage --secret-id ${secretId} --version-stage AWSCURRENT --move-to-version-id ${previous} --remove-from-version-id ${VersionId}`;
  return {
    text: `${detail}.
Secret ${Name} of ${stackName} has a new value: version ${VersionId} is current.
${goBack === null ? 'There was no earlier version.' : `To go back: ${goBack}`}`,
    data: {
      secret: Name,
      trial: detail,
      version_id: VersionId,
      previous_version_id: previous,
      go_back: goBack,
    },
    exitCode: 0,
  };
}
