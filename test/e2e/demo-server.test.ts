import { randomUUID } from 'node:crypto';
import { get } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Demo, startDemo } from '../../demo/demo-server.ts';
import type { LogLine, Snapshot, ViewedConnection } from '../../demo/live-view-events.ts';
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
  test('may only load its own script and style, and only talk to the API and Supabase', async () => {
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
  ] as const;

  test.each(endpoints)('%s %s needs a user who is signed in', async (method, path) => {
    for (const token of [undefined, 'nonsense']) {
      const { status, text } = await request(method, path, token === undefined ? {} : { token });
      expect({ status, text }).toEqual({ status: 401, text: '{"code":"signed_out"}' });
    }
  });

  test.each(['{"condition":"on fire"}', '{}', 'nonsense', ''])('a switch refuses %j', async (body) => {
    for (const path of ['/panel/spotify', '/panel/database']) {
      const { status, text } = await request('PUT', path, { body });
      expect({ status, text }).toEqual({ status: 400, text: '{"code":"invalid_request"}' });
    }
  });

  test('the switches work for somebody who is not signed in, who could not be while Supabase is down', async () => {
    const statusOfSupabase = async () =>
      (await fetch(`${stack.stack.supabase.url}/auth/v1/.well-known/jwks.json`)).status;
    await request('PUT', '/panel/database', { body: '{"condition":"down"}' });
    expect(await statusOfSupabase()).toBe(503);
    await request('PUT', '/panel/database', { body: '{"condition":"up"}' });
    expect(await statusOfSupabase()).toBe(200);

    await request('PUT', '/panel/spotify', { body: '{"condition":"rate-limited"}' });
    await waitForEvent<Snapshot>('snapshot', ({ spotify }) => spotify === 'rate-limited');
    await request('PUT', '/panel/spotify', { body: '{"condition":"up"}' });
    await waitForEvent<Snapshot>('snapshot', ({ spotify }) => spotify === 'up');
  });

  test('the pages of other sites cannot press its buttons', async () => {
    const response = await fetch(`${demo.url}/panel/sweep`, {
      method: 'POST',
      headers: { origin: 'https://example.com' },
    });

    expect({ status: response.status, text: await response.text() }).toEqual({
      status: 403,
      text: '{"code":"invalid_request"}',
    });
  });

  test('says that Supabase is down in a word of ours, not with the page that Supabase sent', async () => {
    const user = await stack.createConnectedUser(3_000);
    const token = await stack.userToken(user.id);
    await stack.stack.supabase.setFault({ kind: 'status', status: 503 });

    const { status, text } = await request('POST', '/api/v1/agents/music/disconnect', { token });

    await stack.stack.supabase.setFault(undefined);
    expect({ status, text }).toEqual({ status: 503, text: '{"code":"supabase_unavailable"}' });
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
    expect(await stack.sql('select change from spotify_auth.changes where user_id = $1', [user.id])).toEqual([
      { change: 'revoked' },
    ]);
  });
});

describe("Bondhu's callback", () => {
  test('rejects a state that was never issued, or was used', async () => {
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
  test('shows connections and what happened to them, sweeps and their schedule, and no token', async () => {
    const user = await stack.createConnectedUser(60);
    const token = await stack.userToken(user.id);
    await request('POST', '/panel/sweep');
    await waitForEvent<Snapshot>('snapshot', ({ sweeps }) => sweeps.length > 0);
    await request('POST', '/panel/revoke-grant', { token });

    const snapshot = await waitForEvent<Snapshot>('snapshot', ({ connections }) =>
      connections.some(({ userId, events }) => userId === user.id && events.length > 1),
    );

    expect(snapshot.connections.find(({ userId }) => userId === user.id)).toMatchObject({
      email: user.email,
      state: 'connected',
      events: [
        { kind: 'action', action: 'revoke-grant' },
        { kind: 'call', outcome: 'refreshed', status: 200 },
      ],
    });
    expect(snapshot.sweeps[0]).toMatchObject({ status: 'completed', refreshed: expect.any(Number) });
    expect(snapshot.schedule).toEqual({ everySeconds: 1_800, nextAt: expect.any(String) });
    expect(Date.parse(snapshot.schedule?.nextAt ?? '')).toBeGreaterThan(Date.now());
    const { spotify_access_token, spotify_refresh_token } = await stack.profile(user.id);
    expect(JSON.stringify(snapshot)).not.toContain(spotify_access_token);
    expect(JSON.stringify(snapshot)).not.toContain(spotify_refresh_token);
  });

  test('shows all connections, in the order in which the users signed up', async () => {
    const users = [await stack.createConnectedUser(60), await stack.createConnectedUser(3_000)];

    const { connections, connectionCount } = await waitForEvent<Snapshot>('snapshot', (snapshot) =>
      snapshot.connections.some(({ userId }) => userId === users[1]?.id),
    );

    expect(connections).toHaveLength(connectionCount);
    expect(connections.slice(0, stack.stack.users.length).map(({ userId }) => userId)).toEqual(
      stack.stack.users.map(({ id }) => id),
    );
  });

  test('makes what happened older when time is let pass, as the connection gets', async () => {
    const user = await stack.createConnectedUser(60);
    const token = await stack.userToken(user.id);
    await stack.status(user.id);
    await request('POST', '/panel/expire-token', { token });

    const { connections } = await waitForEvent<Snapshot>('snapshot', (snapshot) =>
      snapshot.connections.some(({ userId, events }) => userId === user.id && events.length > 1),
    );

    const { events, expiresAt } = connections.find(({ userId }) => userId === user.id) as ViewedConnection;
    const [passed, refreshed] = events;
    expect(passed).toMatchObject({ kind: 'action', action: 'expire-token' });
    expect(refreshed).toMatchObject({ kind: 'call', outcome: 'refreshed' });
    // A token lives an hour.
    const life = Date.parse(expiresAt ?? '') - Date.parse(refreshed?.at ?? '');
    expect(life / 60_000).toBeCloseTo(60, 0);
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
