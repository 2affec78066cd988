import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AccessControl } from '../src/access.ts';
import { CredentialIssuer } from '../src/credentials.ts';
import { SecretsManager } from '../src/secrets-manager.ts';
import { loadTemplate } from '../src/template.ts';
import { createFakeCdkOut, createRole } from './fake-cdk-out.ts';

let secretsManager: SecretsManager;
let secretArn: string;
let secretArnOf: (logicalId: string) => string;
const credentials = new CredentialIssuer();
let readerRoleArn: string;
let strangerRoleArn: string;

beforeAll(async () => {
  const generated = {
    Type: 'AWS::SecretsManager::Secret',
    Properties: {
      GenerateSecretString: {
        ExcludePunctuation: true,
        GenerateStringKey: 'key',
        PasswordLength: 40,
        SecretStringTemplate: '{"a":1}',
      },
    },
  };
  const template = loadTemplate(
    createFakeCdkOut({
      Secret: { Type: 'AWS::SecretsManager::Secret', Properties: { Name: 'credentials' } },
      One: generated,
      Other: generated,
      Reader: createRole('lambda.amazonaws.com', [
        {
          Effect: 'Allow',
          Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
          Resource: [
            { Ref: 'Secret' },
            'arn:aws:secretsmanager:us-east-1:123456789012:secret:mistyped-AbCdEf',
          ],
        },
        {
          Effect: 'Allow',
          Action: 'secretsmanager:GetSecretValue',
          Resource: [{ Ref: 'One' }, { Ref: 'Other' }],
        },
      ]),
      Stranger: createRole('lambda.amazonaws.com'),
    }),
  );
  const [reader, stranger] = template.resourcesOfType('AWS::IAM::Role');
  readerRoleArn = reader?.attributes.Arn ?? '';
  strangerRoleArn = stranger?.attributes.Arn ?? '';
  const secrets = template.resourcesOfType('AWS::SecretsManager::Secret');
  secretArnOf = (logicalId) => secrets.find((secret) => secret.logicalId === logicalId)?.ref ?? '';
  secretArn = secretArnOf('Secret');
  secretsManager = await SecretsManager.start({
    template,
    access: new AccessControl(template),
    credentials,
    preferredPort: 0,
  });
});

afterAll(() => secretsManager.stop());

function clientOf(roleArn: string): SecretsManagerClient {
  return new SecretsManagerClient({
    endpoint: secretsManager.url,
    region: 'us-east-1',
    credentials: credentials.issue({ functionName: `function-of-${roleArn}`, roleArn }),
    maxAttempts: 1,
  });
}

function getSecretValue(roleArn: string, secretId: string) {
  return clientOf(roleArn).send(new GetSecretValueCommand({ SecretId: secretId }));
}

function describeSecret(roleArn: string, secretId: string) {
  return clientOf(roleArn).send(new DescribeSecretCommand({ SecretId: secretId }));
}

test('a secret is described by its versions, and one that is not there is told from one that is empty', async () => {
  const mistyped = 'arn:aws:secretsmanager:us-east-1:123456789012:secret:mistyped-AbCdEf';
  const notFound = { name: 'ResourceNotFoundException' };

  secretsManager.clearSecretValue('Secret');
  await expect(getSecretValue(readerRoleArn, secretArn)).rejects.toMatchObject(notFound);
  expect(await describeSecret(readerRoleArn, secretArn)).toMatchObject({ Name: 'credentials' });
  await expect(describeSecret(readerRoleArn, mistyped)).rejects.toMatchObject(notFound);
  await expect(describeSecret(strangerRoleArn, secretArn)).rejects.toMatchObject({
    name: 'AccessDeniedException',
  });

  secretsManager.putSecretValue('Secret', 'zero');
  const first = secretsManager.putSecretValue('Secret', 'one');
  const second = secretsManager.putSecretValue('Secret', 'two');
  expect((await describeSecret(readerRoleArn, secretArn)).VersionIdsToStages).toEqual({
    [second]: ['AWSCURRENT'],
    [first]: ['AWSPREVIOUS'],
  });
  secretsManager.clearSecretValue('Secret');
});

test('a secret is empty until it is filled in, and again when it is cleared', async () => {
  const empty = {
    name: 'ResourceNotFoundException',
    message: "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
  };
  await expect(getSecretValue(readerRoleArn, secretArn)).rejects.toMatchObject(empty);

  secretsManager.putSecretValue('Secret', 'hush');
  const byArn = await getSecretValue(readerRoleArn, secretArn);
  expect(byArn).toMatchObject({ ARN: secretArn, Name: 'credentials', SecretString: 'hush' });
  expect((await getSecretValue(readerRoleArn, 'credentials')).SecretString).toBe('hush');

  secretsManager.clearSecretValue('Secret');
  await expect(getSecretValue(readerRoleArn, secretArn)).rejects.toMatchObject(empty);
});

test('a role without the grant is refused', async () => {
  secretsManager.putSecretValue('Secret', 'hush');
  await expect(getSecretValue(strangerRoleArn, secretArn)).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: expect.stringMatching(
      /^User: arn:aws:sts::123456789012:assumed-role\/.* is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:.* because no identity-based policy allows the secretsmanager:GetSecretValue action$/,
    ),
  });
});

test('an unknown access key is refused', async () => {
  const response = await fetch(secretsManager.url, {
    method: 'POST',
    headers: {
      'x-amz-target': 'secretsmanager.GetSecretValue',
      authorization: 'AWS4-HMAC-SHA256 Credential=AKIANOBODY/20260101/us-east-1/secretsmanager/aws4_request',
    },
    body: JSON.stringify({ SecretId: secretArn }),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ __type: 'UnrecognizedClientException' });
});

test('calls are counted, and can be made to fail or be refused', async () => {
  const before = secretsManager.callCount;
  secretsManager.makeTrouble({ isFailing: true });
  await expect(getSecretValue(readerRoleArn, secretArn)).rejects.toMatchObject({
    name: 'InternalServiceError',
  });
  secretsManager.makeTrouble({ isDenying: true });
  await expect(getSecretValue(readerRoleArn, secretArn)).rejects.toMatchObject({
    name: 'AccessDeniedException',
  });
  secretsManager.makeTrouble({});
  await getSecretValue(readerRoleArn, secretArn);
  expect(secretsManager.callCount).toBe(before + 3);
});

test('a secret that CloudFormation generates has a value from the start, never the same', async () => {
  const values = await Promise.all(
    ['One', 'Other'].map(async (logicalId) => {
      const { SecretString = '' } = await getSecretValue(readerRoleArn, secretArnOf(logicalId));
      return JSON.parse(SecretString);
    }),
  );

  expect(values).toEqual([
    { a: 1, key: expect.stringMatching(/^\w{40}$/) },
    { a: 1, key: expect.stringMatching(/^\w{40}$/) },
  ]);
  expect(values[0]).not.toEqual(values[1]);
});
