import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const projectRoot = join(import.meta.dirname, '../..');
const stateFile = join(projectRoot, '.local/stack.json');

let server: ChildProcess;
let lines: Interface;
let output = '';

/** Runs one of the package's scripts, as a user types it. */
function npm(...args: string[]) {
  return promisify(execFile)('npm', args, { cwd: projectRoot, encoding: 'utf8' });
}

function readState() {
  return JSON.parse(readFileSync(stateFile, 'utf8'));
}

/** Runs the curl that `npm start` printed for the user in a state. */
async function runPrintedCurl(state: string) {
  const printed = output.split('\n');
  const line = printed[printed.findIndex((candidate) => candidate.startsWith(`# ${state}:`)) + 1] ?? '';
  expect(line).toMatch(/^curl -s http:\/\/127\.0\.0\.1:\d+\/api\/v1\/agents\/music\/status\//);
  const { stdout } = await promisify(execFile)('sh', ['-c', line]);
  return JSON.parse(stdout);
}

beforeAll(async () => {
  const ports = {
    DEMO_PORT: '0',
    API_PORT: '0',
    SUPABASE_PORT: '0',
    SPOTIFY_PORT: '0',
    POSTGRES_PORT: '0',
    AWS_PORT: '0',
  };
  server = spawn('npm', ['start'], {
    cwd: projectRoot,
    env: { ...process.env, ...ports },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A process group of its own, which a signal can be sent to as a terminal does.
    detached: true,
  });
  lines = createInterface({ input: server.stdout as NodeJS.ReadableStream });
  await new Promise<void>((resolve, reject) => {
    server.once('exit', () => reject(new Error(`npm start ended:\n${output}`)));
    lines.on('line', (line) => {
      output += `${line}\n`;
      if (line.startsWith('Log lines follow.')) resolve();
    });
  });
});

afterAll(() => {
  if (server.exitCode === null && server.pid !== undefined) process.kill(-server.pid, 'SIGKILL');
});

describe('npm start', () => {
  test('shows its progress, its addresses and what it does not simulate', () => {
    expect(output).toMatch(/ s {2}Synthesizing the stack/);
    expect(output).toMatch(/API +http:\/\/127\.0\.0\.1:\d+/);
    expect(output).toContain('requests are not throttled');
  });

  test('writes the state file that scripts start from', () => {
    const state = readState();

    for (const url of ['demoUrl', 'apiUrl', 'supabaseUrl', 'spotifyUrl']) {
      expect(state[url]).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    }
    expect(state.databaseUrl).toMatch(/^postgres:\/\/.*127\.0\.0\.1/);
    expect(state.supabasePublishableKey).toMatch(/^sb_publishable_/);
    expect(state.supabaseSecretKey).toMatch(/^sb_secret_/);
    expect(state.users.map((user: { state: string }) => user.state).sort()).toEqual([
      'expired',
      'expiring',
      'fresh',
      'never-connected',
      'past-six-months',
      'revoked',
      'without-expiry',
      'without-refresh-token',
    ]);
  });

  test('prints curls that answer as it says', async () => {
    expect(await runPrintedCurl('fresh')).toMatchObject({ connected: true, auto_refreshed: false });
    const first = await runPrintedCurl('expiring');
    expect(first).toMatchObject({ connected: true, auto_refreshed: true });
    expect(await runPrintedCurl('expiring')).toEqual({ ...first, auto_refreshed: false });
    expect(await runPrintedCurl('expired')).toMatchObject({ connected: true, auto_refreshed: true });
    expect(await runPrintedCurl('revoked')).toMatchObject({ connected: false, retryable: false });
    expect(await runPrintedCurl('past-six-months')).toMatchObject({ connected: false, retryable: false });
    expect(await runPrintedCurl('without-refresh-token')).toMatchObject({ connected: true, degraded: true });
    expect(await runPrintedCurl('without-expiry')).toMatchObject({ connected: true, auto_refreshed: true });
    expect(await runPrintedCurl('never-connected')).toEqual({ connected: false });
  });

  test('serves the demo page at the first address that it prints, and lets that origin call the API', async () => {
    const { demoUrl, apiUrl } = readState();

    expect(output).toMatch(new RegExp(`Ready\\.\n\n {2}Demo page +${demoUrl} `));
    expect(await (await fetch(demoUrl)).text()).toContain('<title>Spotify, connected for good');
    const preflight = await fetch(`${apiUrl}/music/status/x`, {
      method: 'OPTIONS',
      headers: { origin: demoUrl, 'access-control-request-method': 'GET' },
    });
    expect(preflight.headers.get('access-control-allow-origin')).toBe(demoUrl);
  });

  test('is operated as a deployed stack is', async () => {
    const { users } = readState();
    const fresh = users.find((user: { state: string }) => user.state === 'fresh');
    const operate = async (...args: string[]) =>
      (await npm('run', '--silent', 'operate', '--', ...args, '--stage', 'local')).stdout;

    expect(JSON.parse((await npm('run', '--silent', 'sweep')).stdout)).toMatchObject({
      status: 'completed',
      remaining: 0,
    });
    expect(JSON.parse(await operate('refresh', fresh.id))).toEqual({
      user_id: fresh.id,
      outcome: 'refreshed',
    });
    expect(JSON.parse(await operate('show', fresh.id))).toMatchObject({ state: 'connected' });
    expect(await operate('doctor')).toMatch(/^(ok {4}.*\n)+$/);
  });

  test('stops on SIGTERM: the state file is gone, and so is everything that listened', async () => {
    const state = readState();

    // The end of the output: npm itself may be gone before its script is.
    const ended = once(lines, 'close');
    server.kill('SIGTERM');
    await ended;

    expect(existsSync(stateFile)).toBe(false);
    for (const url of [state.demoUrl, state.apiUrl, state.supabaseUrl, state.spotifyUrl]) {
      await expect(fetch(url)).rejects.toThrow();
    }
    await expect(npm('run', '--silent', 'sweep')).rejects.toMatchObject({
      stderr: expect.stringContaining('no local stack is running: start one with "npm start"'),
    });
  });
});

describe('npm start with options that it cannot use', () => {
  test.each([
    [
      ['--', '--sweep-every', 'often'],
      {},
      '--sweep-every must be a number with s, m or h, such as 10s, got "often"',
    ],
    [[], { API_PORT: 'http' }, 'API_PORT must be a port number from 0 (any free one) to 65535, got "http"'],
    [
      [],
      { SPOTIFY_TOKEN_URL: 'spotify' },
      'SPOTIFY_TOKEN_URL must be an http or https address, got "spotify"',
    ],
  ])('%j %j ends with one line that says what to write', async (args, variables, line) => {
    const run = promisify(execFile)('npm', ['--silent', 'start', ...args], {
      cwd: projectRoot,
      env: { ...process.env, ...variables },
      encoding: 'utf8',
    });

    await expect(run).rejects.toMatchObject({ code: 1, stderr: `${line}\n` });
  });
});
