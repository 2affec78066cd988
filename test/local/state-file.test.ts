import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { listen } from 'cdk-out-local/listen';
import { type StackState, StateFile } from '../../local/state-file.ts';

let directory: string;
let server: http.Server;
let state: StackState;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'state-file-test-'));
  server = http.createServer((_request, response) => response.end());
  const url = `http://127.0.0.1:${await listen(server, 0)}`;
  state = {
    demoUrl: url,
    apiUrl: url,
    supabaseUrl: url,
    supabasePublishableKey: 'publishable',
    supabaseSecretKey: 'secret',
    databaseUrl: 'postgres://127.0.0.1/bondhu',
    spotifyUrl: url,
    awsEndpointUrl: url,
    users: [],
  };
});

afterEach(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

async function writeStateOf(pid: number): Promise<void> {
  await writeFile(join(directory, 'stack.json'), JSON.stringify({ ...state, pid }));
}

const readPid = async () => JSON.parse(await readFile(join(directory, 'stack.json'), 'utf8')).pid;

/** The id of a process that has ended. */
async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid as number;
}

describe('the state file', () => {
  test('is written with what stands beside it, and removed with it', async () => {
    const file = new StateFile(directory);

    expect(await file.claim(state, { 'users.sh': '# curls', 'authorization/fresh': 'header' })).toBe(true);
    expect((await readdir(directory)).sort()).toEqual(['authorization', 'stack.json', 'users.sh']);
    expect(await readPid()).toBe(process.pid);

    await file.release();
    expect(await readdir(directory)).toEqual([]);
  });

  test('of another stack that runs is left alone, from beginning to end', async () => {
    await writeStateOf(process.ppid);
    const file = new StateFile(directory);

    expect(await file.removeAbandoned()).toBe(false);
    expect(await file.claim(state, { 'users.sh': '' })).toBe(false);
    await file.release();

    expect(await readPid()).toBe(process.ppid);
    expect(await readdir(directory)).toEqual(['stack.json']);
  });

  test.each([
    ['whose process is gone', async () => writeStateOf(await deadProcess())],
    [
      'whose process id is that of another process by now',
      async () => {
        await writeStateOf(process.ppid);
        server.close();
        await once(server, 'close');
      },
    ],
    ['that was cut off', () => writeFile(join(directory, 'stack.json'), '{"pid":')],
  ])('%s is removed, and said to have been there', async (_which, leave) => {
    await leave();
    await writeFile(join(directory, 'users.sh'), '');

    expect(await new StateFile(directory).removeAbandoned()).toBe(true);
    expect(await readdir(directory)).toEqual([]);
    expect(await new StateFile(directory).removeAbandoned()).toBe(false);
  });
});
