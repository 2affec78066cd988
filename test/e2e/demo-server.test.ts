import { randomUUID } from 'node:crypto';
import { get } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Demo, startDemo } from '../../demo/demo-server.ts';
import type { LogLine } from '../../demo/live-view-events.ts';
import { type ConnectedUser, TestStack } from './test-stack.ts';

let stack: TestStack;
let demo: Demo;

beforeAll(async () => {
  let started: Demo | undefined;
  stack = await TestStack.start({
    hasSampleUsers: true,
    onLog: (source, line) => started?.log(source, line),
  });
  started = await startDemo(stack.stack, 0);
  demo = started;
});

afterAll(async () => {
  await demo.stop();
  await stack.stop();
});

/** What the log calls a user. */
function nameOf({ email }: { readonly email: string }): string {
  return email.split('@')[0] ?? '';
}

async function request(
  method: string,
  path: string,
  { token, body }: { token?: string; body?: string } = {},
) {
  const response = await fetch(demo.url + path, {
    method,
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    ...(body !== undefined && { body }),
    redirect: 'manual',
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Reads server-sent events until one fits. */
async function waitForEvent<Data>(name: 'snapshot' | 'log', fits: (data: Data) => boolean): Promise<Data> {
  const controller = new AbortController();
  const response = await fetch(`${demo.url}/live`, { signal: controller.signal });
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    for (const [event, data = ''] of text.matchAll(/event: \w+\ndata: (.*)\n\n/g)) {
      if (!event.startsWith(`event: ${name}\n`)) continue;
      const parsed = JSON.parse(data) as Data;
      if (fits(parsed)) {
        controller.abort();
        return parsed;
      }
    }
  }
  throw new Error(`the stream ended without such a ${name}`);
}

describe('the page', () => {
  test('may load nothing but its own script and style, and talk to nobody but the API and Supabase', async () => {
    const { headers } = await request('GET', '/');

    const { cloud, supabase } = stack.stack;
    expect(headers.get('content-security-policy')).toBe(
      `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ${cloud.apiUrl} ${supabase.url}; base-uri 'none'; frame-ancestors 'none'`,
    );
  });

  test('holds no secret of the stack', async () => {
    const texts = await Promise.all(['/', '/page.js'].map(async (path) => (await request('GET', path)).text));

    const { supabase, spotifyClient } = stack.stack;
    for (const secret of [supabase.secretKey, supabase.jwtSecret, spotifyClient.client_secret]) {
      expect(texts.join()).not.toContain(secret);
    }
    expect(texts.join()).toContain(supabase.publishableKey);
  });

  test('is served under one host name, for its origin is what the API lets in', async () => {
    const url = new URL(demo.url);
    const location = await new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: url.port, path: '/entertainment?a=1' };
      get({ ...options, headers: { host: `localhost:${url.port}` } }, (response) => {
        response.resume();
        resolve(response.headers.location);
      }).on('error', reject);
    });

    expect(location).toBe(`${demo.url}/entertainment?a=1`);
  });
});

describe('the panel', () => {
  const endpoints = [
    ['POST', '/api/v1/agents/music/connect'],
    ['POST', '/api/v1/agents/music/disconnect'],
    ['POST', '/panel/expire-token'],
    ['POST', '/panel/revoke-grant'],
    ['POST', '/panel/six-months'],
    ['POST', '/panel/try-token'],
    ['POST', '/panel/sweep'],
    ['PUT', '/panel/spotify'],
    ['PUT', '/panel/database'],
  ] as const;

  test.each(endpoints)('%s %s needs a user who is signed in', async (method, path) => {
    expect((await request(method, path)).status).toBe(401);
    expect((await request(method, path, { token: 'nonsense' })).status).toBe(401);
  });

  test.each(['{"condition":"on fire"}', '{}', 'nonsense', ''])('a switch refuses %j', async (body) => {
    const user = await stack.createConnectedUser(3_000);
    const token = await stack.userToken(user.id);

    expect((await request('PUT', '/panel/spotify', { token, body })).status).toBe(400);
    expect((await request('PUT', '/panel/database', { token, body })).status).toBe(400);
  });

  test('lets an hour pass without changing what state the connection is in', async () => {
    const user = await stack.createConnectedUser(3_000);
    stack.stack.spotify.revokeGrants(user.id);
    const token = await stack.userToken(user.id);
    await request('POST', '/panel/expire-token', { token });
    expect((await stack.status(user.id)).body).toMatchObject({ connected: false, retryable: false });
    const before = await stack.profile(user.id);

    await request('POST', '/panel/expire-token', { token });

    const after = await stack.profile(user.id);
    expect(Number(before.spotify_token_expires_at) - Number(after.spotify_token_expires_at)).toBe(3_600_000);
    // A write from outside would have cleared the mark, and the next sweep would find the connection due.
    expect(await stack.usersToldToReconnect()).toContain(user.id);
    expect((await stack.status(user.id)).body).toMatchObject({ connected: false, retryable: false });
  });
});

describe("Bondhu's callback", () => {
  test('sends away whoever brings a state that was never given out, or was used', async () => {
    const user = await stack.createConnectedUser(3_000);
    const token = await stack.userToken(user.id);
    const started = JSON.parse((await request('POST', '/api/v1/agents/music/connect', { token })).text);
    const state = new URL(started.authorization_url).searchParams.get('state');
    const callback = (value: string | null) =>
      request('GET', `/api/v1/agents/music/callback?error=access_denied&state=${value}`);

    expect((await callback('invented')).headers.get('location')).toBe(
      '/entertainment?spotify_error=invalid_state',
    );
    expect((await callback(state)).headers.get('location')).toBe(
      '/entertainment?spotify_error=access_denied',
    );
    expect((await callback(state)).headers.get('location')).toBe(
      '/entertainment?spotify_error=invalid_state',
    );
  });

  test('reports a code that Spotify does not take', async () => {
    const user = await stack.createConnectedUser(3_000);
    const token = await stack.userToken(user.id);
    const started = JSON.parse((await request('POST', '/api/v1/agents/music/connect', { token })).text);
    const state = new URL(started.authorization_url).searchParams.get('state');

    const answer = await request('GET', `/api/v1/agents/music/callback?code=invented&state=${state}`);

    expect(answer.headers.get('location')).toBe('/entertainment?spotify_error=token_exchange_failed');
    expect(await stack.profile(user.id)).toMatchObject({ spotify_refresh_token: user.refreshToken });
  });
});

describe('the live view', () => {
  interface Snapshot {
    readonly spotify: string;
    readonly connections: readonly { readonly userId: string; readonly state: string }[];
    readonly calls: readonly { readonly email: string | null; readonly outcome: string }[];
    readonly sweeps: readonly { readonly status: string; readonly refreshed: number }[];
  }

  test('shows connections, calls, sweeps and what the panel did, and no token', async () => {
    const user = await stack.createConnectedUser(60);
    const token = await stack.userToken(user.id);
    await request('PUT', '/panel/spotify', { token, body: '{"condition":"up"}' });
    await request('POST', '/panel/sweep', { token });

    const snapshot = await waitForEvent<Snapshot>('snapshot', ({ sweeps }) => sweeps.length > 0);

    expect(snapshot.spotify).toBe('up');
    expect(snapshot.connections).toContainEqual(
      expect.objectContaining({ userId: user.id, email: user.email, state: 'connected' }),
    );
    expect(snapshot.calls).toContainEqual(
      expect.objectContaining({ email: user.email, outcome: 'refreshed', status: 200 }),
    );
    expect(snapshot.sweeps[0]).toMatchObject({ status: 'completed', remaining: 0 });
    expect(snapshot.sweeps[0]?.refreshed).toBeGreaterThan(0);
    const { spotify_access_token, spotify_refresh_token } = await stack.profile(user.id);
    expect(JSON.stringify(snapshot)).not.toContain(spotify_access_token);
    expect(JSON.stringify(snapshot)).not.toContain(spotify_refresh_token);
  });

  /** Unlike one that is only created, a user who signed up has a name in the log. */
  async function signUpAndConnect(): Promise<Pick<ConnectedUser, 'id' | 'email'>> {
    const email = `${randomUUID()}@example.com`;
    const id = await stack.stack.supabase.createUser(email, 'correct horse');
    await stack.reconnect(id, email, 3_000);
    return { id, email };
  }

  test('shows the lines of the logs, those from before it was opened too', async () => {
    const user = await signUpAndConnect();
    await stack.status(user.id);

    const line = await waitForEvent<LogLine>(
      'log',
      (log) => log.user === nameOf(user) && log.what === 'status answered',
    );

    expect(line).toMatchObject({ source: 'status', level: 'INFO', outcome: 'connected' });
  });

  test('shows no metrics, which are no news', async () => {
    const user = await signUpAndConnect();
    const seen: LogLine[] = [];
    await stack.status(user.id);

    await waitForEvent<LogLine>('log', (log) => {
      seen.push(log);
      return log.user === nameOf(user);
    });

    expect(seen.filter(({ what }) => what.includes('_aws'))).toEqual([]);
  });
});
