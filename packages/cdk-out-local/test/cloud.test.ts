import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Cloud, startCloud } from '../src/cloud.ts';
import { listen } from '../src/listen.ts';
import { createFakeCdkOut, createFunction, createRole, type FakeResources } from './fake-cdk-out.ts';

const readSecret = `
  const { AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoint, AWS_ACCESS_KEY_ID: accessKeyId, SECRET_ARN: SecretId } = process.env;
  export const handler = async () => {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        'x-amz-target': 'secretsmanager.GetSecretValue',
        authorization: \`AWS4-HMAC-SHA256 Credential=\${accessKeyId}/20260101/us-east-1/secretsmanager/aws4_request\`,
      },
      body: JSON.stringify({ SecretId }),
    });
    const { __type, SecretString } = await response.json();
    return { answer: __type ?? SecretString };
  };`;

function createResources(): FakeResources {
  const environment = { Environment: { Variables: { SECRET_ARN: { Ref: 'Secret' } } } };
  const routes = ['granted', 'ungranted'].map(
    (name): FakeResources => ({
      [`${name}Integration`]: {
        Type: 'AWS::ApiGatewayV2::Integration',
        Properties: {
          ApiId: { Ref: 'Api' },
          IntegrationType: 'AWS_PROXY',
          IntegrationUri: { 'Fn::GetAtt': [name, 'Arn'] },
          PayloadFormatVersion: '2.0',
        },
      },
      [`${name}Route`]: {
        Type: 'AWS::ApiGatewayV2::Route',
        Properties: {
          ApiId: { Ref: 'Api' },
          RouteKey: `GET /${name}`,
          Target: { 'Fn::Sub': `integrations/\${${name}Integration}` },
        },
      },
      [`${name}Permission`]: {
        Type: 'AWS::Lambda::Permission',
        Properties: {
          Action: 'lambda:InvokeFunction',
          FunctionName: { Ref: name },
          Principal: 'apigateway.amazonaws.com',
        },
      },
    }),
  );
  return {
    Secret: { Type: 'AWS::SecretsManager::Secret' },
    grantedRole: createRole('lambda.amazonaws.com', [
      { Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: { Ref: 'Secret' } },
    ]),
    granted: createFunction('granted', environment),
    ungrantedRole: createRole('lambda.amazonaws.com'),
    ungranted: createFunction('ungranted', environment),
    Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'api', ProtocolType: 'HTTP' } },
    Stage: {
      Type: 'AWS::ApiGatewayV2::Stage',
      Properties: { ApiId: { Ref: 'Api' }, AutoDeploy: true, StageName: '$default' },
    },
    ...Object.assign({}, ...routes),
  };
}

const cdkOutDirectory = createFakeCdkOut(createResources(), { granted: readSecret, ungranted: readSecret });
const options = { cdkOutDirectory, environmentOverrides: {}, onLog: () => {} };
let cloud: Cloud;

beforeAll(async () => {
  cloud = await startCloud(options);
  cloud.secretsManager.putSecretValue('Secret', 'hush');
});

afterAll(() => cloud.stop());

test('a request goes through the API to the function’s process, and that to Secrets Manager', async () => {
  const response = await fetch(`${cloud.apiUrl}/granted`);
  expect(await response.json()).toEqual({ answer: 'hush' });
});

test('a grant that is missing in the template is missing here', async () => {
  const response = await fetch(`${cloud.apiUrl}/ungranted`);
  expect(await response.json()).toEqual({ answer: 'AccessDeniedException' });
});

test('an override for a variable that no function has is refused', async () => {
  await expect(startCloud({ ...options, environmentOverrides: { SECRET_ANR: 'x' } })).rejects.toThrow(
    'no function of the template has the environment variable SECRET_ANR',
  );
});

test('a preferred port that is taken is replaced by a free one', async () => {
  await using other = createServer();
  const takenPort = await listen(other, 0);
  const second = await startCloud({ ...options, preferredPorts: { api: takenPort } });
  expect(second.apiUrl).not.toBe(`http://127.0.0.1:${takenPort}`);
  await second.stop();
  await expect(fetch(second.apiUrl)).rejects.toThrow();
});
