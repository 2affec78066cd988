import { describe, expect, test } from '@jest/globals';
import { findFunction, removeHashes } from './find-resources.ts';
import { listPermissions } from './list-permissions.ts';
import { synthesize } from './synthesize.ts';

describe("an operator's secrets", () => {
  const secrets = Object.entries(synthesize().findResources('AWS::SecretsManager::Secret'))
    .filter(([id]) => !id.startsWith('RescueQueueKey'))
    .map(([, secret]) => secret);

  test('are created empty, so that a deployment never writes over their values', () => {
    expect(secrets.map(({ Properties }) => Properties)).toEqual([
      { Description: 'SpotifyAuth-test, Spotify app: {"client_id": "...", "client_secret": "..."}' },
      {
        Description:
          'SpotifyAuth-test, Supabase project: {"secret_key": "sb_secret_...", "jwt_secret": "only if user tokens are signed with HS256"}',
      },
    ]);
  });

  test('outlive a stack that was created, and nothing else: a creation that fails leaves none behind', () => {
    expect(secrets).toHaveLength(2);
    for (const secret of secrets) {
      expect(secret).toMatchObject({ DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' });
    }
  });
});

describe('existing secrets', () => {
  const spotifySecretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:bondhu/spotify-AbCdEf';
  const supabaseSecretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:bondhu/supabase-UvWxYz';

  const template = synthesize({ spotifySecretArn, supabaseSecretArn });

  test('are read, by exactly their ARNs, and none is created beside them', () => {
    expect(Object.keys(template.findResources('AWS::SecretsManager::Secret')).map(removeHashes)).toEqual([
      'RescueQueueKey',
    ]);
    for (const capability of ['StatusApi', 'RefreshSweeper']) {
      expect(findFunction(template, capability).Environment.Variables).toMatchObject({
        SPOTIFY_SECRET_ARN: spotifySecretArn,
        SUPABASE_SECRET_ARN: supabaseSecretArn,
      });
    }
    for (const permissions of Object.values(listPermissions(template)).slice(0, 2)) {
      expect(permissions.filter((permission) => permission.includes('GetSecretValue'))).toEqual([
        `secretsmanager:GetSecretValue on "${spotifySecretArn}"`,
        `secretsmanager:GetSecretValue on "${supabaseSecretArn}"`,
        'secretsmanager:GetSecretValue on RescueQueueKey',
      ]);
    }
  });

  test('are named in the outputs', () => {
    const { SpotifySecretArn, SupabaseSecretArn } = template.findOutputs('*');

    expect(SpotifySecretArn?.['Value']).toBe(spotifySecretArn);
    expect(SupabaseSecretArn?.['Value']).toBe(supabaseSecretArn);
  });

  test('can be one of the two: the other is created', () => {
    const withOne = synthesize({ supabaseSecretArn });

    expect(Object.keys(withOne.findResources('AWS::SecretsManager::Secret')).map(removeHashes)).toEqual([
      'CredentialsSpotify',
      'RescueQueueKey',
    ]);
  });
});
