import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from '@jest/globals';
import { operations } from '../src/operator-endpoint.ts';
import { resourceTypes } from '../src/resource-types.ts';
import { createFakeCdkOut } from './fake-cdk-out.ts';

const packageRoot = join(import.meta.dirname, '..');
const readme = readFileSync(join(packageRoot, 'README.md'), 'utf8');

test('the example runs as it is shown', async () => {
  const cdkOutDirectory = createFakeCdkOut({
    Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'api', ProtocolType: 'HTTP' } },
    Stage: {
      Type: 'AWS::ApiGatewayV2::Stage',
      Properties: { ApiId: { Ref: 'Api' }, AutoDeploy: true, StageName: '$default' },
    },
  });
  const example = readme
    .match(/```js\n(.*?)```/s)?.[1]
    ?.replace("'cdk.out'", JSON.stringify(cdkOutDirectory));

  const child = spawn(process.execPath, ['--input-type=module', '--eval', example ?? ''], {
    cwd: packageRoot,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === 2) child.kill('SIGINT');
  }
  const [exitCode] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];

  expect(exitCode).toBe(0);
  expect(lines[0]).toMatch(/^The API is http:\/\/127\.0\.0\.1:\d+, and this is different from AWS:$/);
  expect(lines.slice(1)).toContain('- there is no TLS (ApiGatewayV2::Api)');
});

test('every resource type is in the table of what is simulated', () => {
  const section = readme.split('## What it simulates')[1]?.split('\n## ')[0] ?? '';
  // Such as "`AWS::SQS::Queue`, `QueuePolicy`": a name without a service is one of the service before it.
  let service = '';
  const listed = section.split('\n').flatMap((line) => {
    const names = [...(line.split('|')[2] ?? '').matchAll(/`([\w:]+)`/g)].map(([, name = '']) => name);
    return names.map((name) => {
      if (!name.startsWith('AWS::')) return service + name;
      service = name.slice(0, name.lastIndexOf(':') + 1);
      return name;
    });
  });
  expect(listed.toSorted()).toEqual(Object.keys(resourceTypes).toSorted());
});

test('every operation that operators may use is named', () => {
  const paragraph = readme.split('\n\n').find((text) => text.startsWith('`OperatorEndpoint.start(')) ?? '';
  const named = [...paragraph.matchAll(/`([A-Z]\w+)`/g)].map(([, name]) => name);
  expect(named.toSorted()).toEqual([...Object.keys(operations), 'Invoke'].toSorted());
});
