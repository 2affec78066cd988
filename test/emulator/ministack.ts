import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import http, { type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { listen } from 'cdk-out-local/listen';

const executable = join(import.meta.dirname, '../../.local/emulator/bin/ministack');

/** An answer of an API that is deployed to the emulator. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

/** A running ministack: AWS's services at one address of this machine. */
export interface Ministack {
  readonly url: string;
  /** Calls an HTTP API at the address that its stack puts out, wherever that name leads on this machine. */
  get(apiUrl: string, path: string, headers: Readonly<Record<string, string>>): Promise<ApiAnswer>;
  /** Stops it, and what it runs, and removes what it has kept. */
  stop(): Promise<void>;
}

/**
 * Starts ministack on a free port of 127.0.0.1, with nothing deployed to it.
 *
 * @throws Error that says how to install it, where it is not
 */
export async function startMinistack(): Promise<Ministack> {
  if (!existsSync(executable)) {
    throw new Error(
      'ministack is not installed: run python3 -m venv .local/emulator && .local/emulator/bin/pip install -r test/emulator/requirements.txt',
    );
  }
  const directory = mkdtempSync(join(tmpdir(), 'spotify-auth-ministack-'));
  const port = await findFreePort();
  const child = spawn(executable, {
    env: {
      // It runs the functions with the node that it finds first.
      PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
      TMPDIR: directory,
      STATE_DIR: directory,
      // Otherwise it listens on every interface.
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    // A process group of its own, in which the functions' processes are too.
    detached: true,
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stderr });
  await new Promise<void>((resolve, reject) => {
    let output = '';
    lines.on('line', (line) => {
      output += `${line}\n`;
      if (line.includes('Running on http')) resolve();
    });
    ended.then(() => reject(new Error(`ministack has ended:\n${output}`)), reject);
  });
  return {
    url: `http://127.0.0.1:${port}`,
    async get(apiUrl, path, headers) {
      const { host } = new URL(apiUrl);
      const request = http.get({ host: '127.0.0.1', port, path, headers: { ...headers, host } });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const body = await text(response);
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: response.headers['content-type']?.includes('json') ? JSON.parse(body) : body,
      };
    },
    async stop() {
      if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function findFreePort(): Promise<number> {
  const server = http.createServer();
  const port = await listen(server, 0);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
