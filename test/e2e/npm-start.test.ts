import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadTemplate } from 'cdk-out-local';
import type { DashboardView } from 'cdk-out-local/dashboard-view';
import pg from 'pg';
import { type Postgres, startPostgres } from '../../stand-ins/supabase/postgres.ts';

const projectRoot = join(import.meta.dirname, '../..');
const stateFile = join(projectRoot, '.local/stack.json');
const CTRL_C = '\x03';

/** What is printed last before the log begins. */
const READY = /Ctrl-C stops everything\.\n\n[^\n]*Demo page [^\n]*\n/;

let temporaryDirectory: string;
const started: Start[] = [];

/** `npm start`, and what it has printed so far. */
class Start {
  readonly process: ChildProcess;
  output = '';
  readonly ended: Promise<unknown>;
  readonly #watchers = new Set<() => void>();

  constructor(command: string, args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
    const ports = Object.fromEntries(
      ['DEMO', 'API', 'SUPABASE', 'SPOTIFY', 'POSTGRES', 'AWS'].map((name) => [`${name}_PORT`, '0']),
    );
    this.process = spawn(command, args, {
      cwd: projectRoot,
      env: { ...process.env, ...ports, TMPDIR: temporaryDirectory, ...variables },
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    // The end of the output: npm itself may be gone before its script is.
    this.ended = once(this.process, 'close');
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += stripVTControlCharacters(text).replaceAll('\r', '');
      for (const watcher of this.#watchers) watcher();
    });
    started.push(this);
  }

  /** Resolves once the output has it. @throws where the process ends before */
  async prints(pattern: RegExp): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => pattern.test(this.output) && resolve();
    this.#watchers.add(look);
    this.ended.then(() => reject(new Error(`npm start ended before it printed ${pattern}:\n${this.output}`)));
    look();
    await promise.finally(() => this.#watchers.delete(look));
  }

  kill(): void {
    if (this.process.exitCode === null && this.process.pid !== undefined)
      process.kill(-this.process.pid, 'SIGKILL');
  }
}

/** Runs npm in a terminal of its own; what is written to its input is typed there. */
function startInTerminal(variables: Readonly<Record<string, string>> = {}): Start {
  const args =
    process.platform === 'darwin' ? ['-q', '/dev/null', 'npm', 'start'] : ['-qec', 'npm start', '/dev/null'];
  return new Start('script', args, variables);
}

/** Runs one of the package's scripts, as a user types it. */
function npm(...args: string[]) {
  return promisify(execFile)('npm', args, { cwd: projectRoot, encoding: 'utf8' });
}

async function paste(command: string): Promise<string> {
  return (await promisify(execFile)('sh', ['-c', command], { cwd: projectRoot })).stdout;
}

function readState() {
  return JSON.parse(readFileSync(stateFile, 'utf8'));
}

/** Runs the curl of `.local/users.sh` for the user in a state. */
async function askAbout(state: string) {
  const script = readFileSync(join(projectRoot, '.local/users.sh'), 'utf8');
  const [, command = ''] = new RegExp(`^# ${state}: .*\\n((?:.+\\n)+)`, 'm').exec(script) ?? [];
  expect(command).toMatch(/^curl -sS /);
  return JSON.parse(await paste(command));
}

function temporaryFolders(): string[] {
  return readdirSync(temporaryDirectory).filter((name) => name.startsWith('spotify-auth-'));
}

let first: Start;

beforeAll(async () => {
  temporaryDirectory = await mkdtemp(join(tmpdir(), 'npm-start-test-'));
  // PostgreSQL, which does not run as root, has to get in.
  await chmod(temporaryDirectory, 0o755);
  first = startInTerminal();
  await first.prints(READY);
});

afterAll(async () => {
  for (const start of started) start.kill();
  await rm(temporaryDirectory, { recursive: true, force: true });
});

describe('npm start', () => {
  test('shows its progress, then at most 25 rows of 80 columns, the demo page first and last', () => {
    expect(first.output).toMatch(/ s {2}Synthesizing the stack/);
    const screen =
      first.output
        .slice(first.output.indexOf('\nReady.\n'))
        .match(new RegExp(`^.*?${READY.source}`, 's'))?.[0] ?? '';
    const rows = screen.trimEnd().split('\n');
    expect(rows.length).toBeLessThanOrEqual(25);
    expect(rows.filter((row) => row.length > 80)).toEqual([]);
    const demoPage = `Demo page  ${readState().demoUrl}`;
    expect(rows.find((row) => row.includes('http'))).toContain(demoPage);
    expect(rows.at(-1)).toContain(demoPage);
  });

  test('prints where the dashboard is, which shows how far back it is asked to', async () => {
    const [, address = ''] = /Dashboard {2}(http\S+)/.exec(first.output) ?? [];
    const page = await fetch(address);
    const answer = await fetch(`${address}/view?seconds=60`);
    const view = (await answer.json()) as DashboardView;
    const refused = await fetch(`${address}/view?seconds=soon`);

    expect(address).toBe(`${readState().demoUrl}/dashboard`);
    expect([page.status, page.headers.get('content-security-policy')]).toEqual([
      200,
      expect.stringContaining("script-src 'self'"),
    ]);
    expect(view.until - view.from).toBe(60_000);
    expect(refused.status).toBe(400);
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
      'before-six-months',
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

  test('writes a curl for each sample user, which answers as it says', async () => {
    expect(await askAbout('fresh')).toMatchObject({ connected: true, auto_refreshed: false });
    const answer = await askAbout('expiring');
    expect(answer).toMatchObject({ connected: true, auto_refreshed: true });
    expect(await askAbout('expiring')).toEqual({ ...answer, auto_refreshed: false });
    expect(await askAbout('expired')).toMatchObject({ connected: true, auto_refreshed: true });
    expect(await askAbout('revoked')).toMatchObject({ connected: false, retryable: false });
    expect(await askAbout('past-six-months')).toMatchObject({ connected: false, retryable: false });
    expect(await askAbout('without-refresh-token')).toMatchObject({ connected: true, degraded: true });
    expect(await askAbout('without-expiry')).toMatchObject({ connected: true, auto_refreshed: true });
    expect(await askAbout('never-connected')).toEqual({ connected: false });
  });

  test('prints three commands that can be pasted as they are', async () => {
    const [, commands = ''] = /in this folder:\n\n((?:.+\n)+)/.exec(first.output) ?? [];
    const [curl = '', explain = '', refresh = ''] = commands.replaceAll('\\\n', '').trimEnd().split('\n');
    const { id } = readState().users.find((user: { state: string }) => user.state === 'expiring');

    expect(curl).toMatch(/^curl -sS /);
    expect(JSON.parse(await paste(curl))).toMatchObject({ connected: true });
    expect(await paste(explain)).toContain('Connected, and the token works.');
    expect(await paste(refresh)).toMatch(new RegExp(`^user id +${id}$`, 'm'));
  });

  test('prints a line for each thing that happens, for people, and no metrics', async () => {
    await askAbout('fresh');

    await first.prints(/^\d\d:\d\d:\d\d {2}status {3}status answered {2}fresh +connected {2}\d+ ms$/m);
    expect(first.output).not.toContain('_aws');
    expect(first.output).not.toContain('function_arn');
  });

  test('serves the demo page, and lets that origin call the API', async () => {
    const { demoUrl, apiUrl } = readState();

    expect(await (await fetch(demoUrl)).text()).toContain('<title>Spotify connection demo');
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

    expect(JSON.parse((await npm('run', '--silent', 'sweep', '--', '--json')).stdout)).toMatchObject({
      status: 'completed',
      remaining: 0,
    });
    expect(JSON.parse(await operate('refresh', fresh.id, '--json'))).toEqual({
      user_id: fresh.id,
      outcome: 'refreshed',
    });
    expect(await operate('explain', fresh.id)).toContain('Connected, and the token works.');
    await first.prints(/event SpotifyReauthorizationDue {2}before-six-months/);
    expect(await operate('doctor')).not.toMatch(/^(FAIL|wait)/m);
  });

  describe('a second one in the same folder, with --json and DATABASE_URL', () => {
    let server: Postgres;
    let second: Start;

    const databases = async () => {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      const { rows } = await client.query<{ datname: string }>('select datname from pg_database order by 1');
      await client.end();
      return rows.map(({ datname }) => datname);
    };

    beforeAll(async () => {
      server = await startPostgres();
      second = new Start('npm', ['start', '--', '--json'], { DATABASE_URL: server.url });
      await second.prints(READY);
    });

    afterAll(() => server.stop());

    test('leaves the files of the first alone, and says so', () => {
      expect(second.output).toContain('Another "npm start" runs in this folder');
      expect(first.output).toContain(readState().demoUrl);
      expect(second.output).not.toContain(readState().demoUrl);
    });

    test('prints log lines as they are', async () => {
      const [, api] = /API +(http:\S+)/.exec(second.output) ?? [];

      await fetch(`${api}/music/status/nobody`);

      await second.prints(/^\{"level":"WARN","message":"status refused".*\}$/m);
      await second.prints(/^\{"_aws":/m);
    });

    test('stops on SIGTERM: no database is left, and the roles that stay are named', async () => {
      expect(await databases()).toContainEqual(expect.stringMatching(/^bondhu_[0-9a-f]{8}$/));

      second.process.kill('SIGTERM');
      await second.ended;

      expect(await databases()).toEqual(['postgres', 'template0', 'template1']);
      expect(second.output).toMatch(
        /These roles stay on the server: anon, authenticated, service_role, authenticator, postgres, supabase_auth_admin\n/,
      );
      expect(readState().demoUrl).toBe(/Demo page +(\S+)/.exec(first.output)?.[1]);
    });

    test('stops on Ctrl-C while its database is filled, and leaves none', async () => {
      const third = startInTerminal({ DATABASE_URL: server.url });
      await third.prints(/Starting Supabase/);

      third.process.stdin?.write(CTRL_C);
      await third.ended;

      expect(await databases()).toEqual(['postgres', 'template0', 'template1']);
    });
  });

  test('stops on Ctrl-C while it starts, however often it is pressed, and leaves nothing', async () => {
    const before = temporaryFolders();
    const start = startInTerminal();
    await start.prints(/Creating a PostgreSQL cluster/);
    expect(temporaryFolders().length).toBeGreaterThan(before.length);

    start.process.stdin?.write(CTRL_C.repeat(3));
    await start.ended;

    expect(start.output).not.toContain('Ready.');
    expect(temporaryFolders()).toEqual(before);
  });

  test('stops on one Ctrl-C: its files are gone, and so is everything that listened', async () => {
    const state = readState();

    first.process.stdin?.write(CTRL_C);
    await first.ended;

    expect(first.output).toContain('Stopping...');
    expect(existsSync(stateFile)).toBe(false);
    expect(temporaryFolders()).toEqual([]);
    for (const url of [state.demoUrl, state.apiUrl, state.supabaseUrl, state.spotifyUrl]) {
      await expect(fetch(url)).rejects.toThrow();
    }
    await expect(npm('run', '--silent', 'sweep')).rejects.toMatchObject({
      stderr: expect.stringContaining('no local stack is running: start one with "npm start"'),
    });
  });
});

test('docs/local.md lists every difference from AWS', () => {
  const document = readFileSync(join(projectRoot, 'docs/local.md'), 'utf8');
  const [, list = ''] = /^## How it differs from AWS\n.*?\n\n((?:- [^\n]*\n)+)/ms.exec(document) ?? [];

  expect(list.trimEnd().split('\n')).toEqual(
    loadTemplate(process.env['SYNTHESIZED_STACK'] ?? '').notSimulated.map((difference) => `- ${difference}`),
  );
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
    [
      [],
      { DATABASE_URL: 'postgres://boss@localhost:1/postgres' },
      'DATABASE_URL: the server cannot be reached: connect ECONNREFUSED 127.0.0.1:1',
    ],
    [
      [],
      { API_PORT: '4711', AWS_PORT: '4711' },
      'API_PORT and AWS_PORT are both 4711: give each server a port of its own',
    ],
  ])(
    '%j %j ends with one line that says what to write, before anything slow',
    async (args, variables, line) => {
      const run = promisify(execFile)('npm', ['--silent', 'start', ...args], {
        cwd: projectRoot,
        // Nothing there that an earlier start left.
        env: { ...process.env, TMPDIR: temporaryDirectory, ...variables },
        encoding: 'utf8',
      });

      await expect(run).rejects.toMatchObject({ code: 1, stdout: '', stderr: `${line}\n` });
    },
  );
});
