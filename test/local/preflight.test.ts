import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { listen } from 'cdk-out-local/listen';
import { checkRequirements } from '../../local/preflight.ts';

let directory: string;
let other: net.Server;
let takenPort: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'preflight-test-'));
  other = net.createServer();
  takenPort = await listen(other, 0);
});

afterEach(async () => {
  other.close();
  await rm(directory, { recursive: true });
});

function check({
  ports = {},
  temporaryDirectory = directory,
  stateDirectory = join(directory, '.local'),
} = {}): Promise<void> {
  return checkRequirements({
    requestedPorts: new Map(Object.entries(ports)),
    temporaryDirectory,
    stateDirectory,
  });
}

describe('before a start', () => {
  test('nothing is wrong with free ports, any ports, and folders that can be written to', async () => {
    other.close();

    await expect(
      check({ ports: { API_PORT: takenPort, DEMO_PORT: 0, AWS_PORT: 0 } }),
    ).resolves.toBeUndefined();
  });

  test('a port that was asked for and is taken is refused by the name of its variable', async () => {
    await expect(check({ ports: { API_PORT: takenPort } })).rejects.toThrow(
      `API_PORT: port ${takenPort} is taken; name another one, or 0 for any free one`,
    );
  });

  test('two servers on one port are refused', async () => {
    other.close();

    await expect(check({ ports: { API_PORT: takenPort, DEMO_PORT: takenPort } })).rejects.toThrow(
      `API_PORT and DEMO_PORT are both ${takenPort}: give each server a port of its own`,
    );
  });

  test('a project that is read-only is refused', async () => {
    await writeFile(join(directory, 'file'), '');
    const stateDirectory = join(directory, 'file/.local');

    await expect(check({ stateDirectory })).rejects.toThrow(
      `${stateDirectory} cannot be written to: start from a copy of the project that is not read-only`,
    );
  });

  test('a TMPDIR that is no folder is refused', async () => {
    await expect(check({ temporaryDirectory: join(directory, 'missing') })).rejects.toThrow(
      `TMPDIR must name a folder that temporary files can be written to, got "${directory}/missing"`,
    );
  });
});
