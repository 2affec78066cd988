import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { SPOTIFY_CLIENT, SUPABASE_CREDENTIALS } from '../lambda/adapters/secret.ts';
import type { Command } from './command.ts';
import { UsageError } from './operator-error.ts';
import { withProgress } from './progress.ts';
import { parseSecretValue } from './secret-value.ts';
import { readStandardInput } from './standard-input.ts';

const SECRETS = {
  spotify: { format: SPOTIFY_CLIENT, output: 'SpotifySecretArn' },
  supabase: { format: SUPABASE_CREDENTIALS, output: 'SupabaseSecretArn' },
} as const;

export const fillSecret: Command = {
  synopsis: 'spotify|supabase',
  summary: 'writes a secret, which it reads from standard input',
  description: `The value is JSON, and replaces the present one as a whole:

  spotify    ${SPOTIFY_CLIENT.example}
  supabase   ${SUPABASE_CREDENTIALS.example}
             and "jwt_secret": "..." where user tokens are signed with HS256

A wrong value is refused before anything is written. Nothing has to be deployed afterwards.`,
  options: {},
  parse({ positionals }) {
    const [secret, ...others] = positionals;
    // What was written instead is not repeated: it may be the secret.
    if (others.length > 0 || (secret !== 'spotify' && secret !== 'supabase')) {
      throw new UsageError('fill-secret takes spotify or supabase, and reads the value from standard input');
    }
    return async ({ aws, stackName, output }) => {
      const { format, output: outputName } = SECRETS[secret];
      const secretId = output(outputName);
      const text = await readStandardInput(
        `Value of ${secretId} (${stackName}): type ${format.example}, Enter, and Ctrl-D to end.`,
      );
      const value = parseSecretValue(format, text);
      const { Name = secretId } = await withProgress(
        'writing the secret',
        aws.secretsManager.send(new PutSecretValueCommand({ SecretId: secretId, SecretString: value })),
      );
      return { output: `Secret ${Name} of ${stackName} has a new value.`, exitCode: 0 };
    };
  },
};
