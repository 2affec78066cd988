import { describe, expect, test } from '@jest/globals';
import { synthesize } from './synthesize.ts';

describe('the rescue queue', () => {
  const queues = Object.entries(synthesize().findResources('AWS::SQS::Queue'));
  const [deadLetterQueueId, deadLetterQueue] = queues[0] ?? [];
  const [, queue] = queues[1] ?? [];

  test('hides what is being stored for longer than that takes, and gives up what never can be', () => {
    expect(queue?.['Properties']).toMatchObject({
      VisibilityTimeout: 30,
      RedrivePolicy: {
        deadLetterTargetArn: { 'Fn::GetAtt': [deadLetterQueueId, 'Arn'] },
        maxReceiveCount: 10,
      },
    });
  });

  test('outlives a stack that was created, its dead-letter queue too: they may hold the only living tokens', () => {
    for (const kept of [queue, deadLetterQueue]) {
      expect(kept).toMatchObject({ DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' });
    }
  });
});

describe('the key of the rescue queue', () => {
  const secrets = Object.entries(synthesize().findResources('AWS::SecretsManager::Secret'));
  const keys = secrets.filter(([id]) => id.startsWith('RescueQueue')).map(([, key]) => key);

  test('is generated: any change here would generate it again', () => {
    expect(keys.map(({ Properties }) => Properties)).toEqual([
      {
        Description: 'SpotifyAuth-test, key of the rescue queue: generated, do not change it',
        GenerateSecretString: {
          SecretStringTemplate: '{}',
          GenerateStringKey: 'key',
          PasswordLength: 64,
          ExcludePunctuation: true,
        },
      },
    ]);
  });

  test('outlives a stack that was created', () => {
    expect(keys).toEqual([
      expect.objectContaining({ DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' }),
    ]);
  });
});
