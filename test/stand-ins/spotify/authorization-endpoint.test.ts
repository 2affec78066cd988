import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type AccountsService, startAccountsService } from '../../../stand-ins/spotify/accounts-service.ts';

const redirectUri = 'http://127.0.0.1:8788/callback';

let spotify: AccountsService;

beforeEach(async () => {
  spotify = await startAccountsService({ clientId: 'client', clientSecret: 'secret' });
  spotify.registerRedirectUri(redirectUri);
});

afterEach(async () => {
  jest.restoreAllMocks();
  await spotify.stop();
});

const parameters = {
  client_id: 'client',
  response_type: 'code',
  redirect_uri: redirectUri,
  state: 'a state & more',
  user_id: 'alice',
  login_hint: 'alice@example.com',
};

function consentUrl(changes: Record<string, string> = {}): string {
  return `${spotify.url}/authorize?${new URLSearchParams({ ...parameters, ...changes })}`;
}

/** Presses a button of the consent page. @returns where that leads */
async function decide(decision: 'allow' | 'deny'): Promise<URL> {
  const response = await fetch(consentUrl(), {
    method: 'POST',
    body: new URLSearchParams({ decision }),
    redirect: 'manual',
  });
  expect(response.status).toBe(303);
  return new URL(response.headers.get('location') ?? '');
}

async function exchange(code: string | null, changes: Record<string, string> = {}) {
  const response = await fetch(spotify.tokenUrl, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('client:secret')}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: code ?? '',
      redirect_uri: redirectUri,
      ...changes,
    }),
  });
  return {
    status: response.status,
    body: (await response.json()) as { access_token: string; refresh_token: string },
  };
}

const invalidCode = { status: 400, body: { error: 'invalid_grant' } };

describe('the consent page', () => {
  test('names the user, as text', async () => {
    const response = await fetch(consentUrl({ login_hint: '<b>alice</b>' }));

    expect(response.headers.get('content-type')).toContain('text/html');
    const page = await response.text();
    expect(page).toContain('Signed in as &lt;b&gt;alice&lt;/b&gt;.');
    expect(page).toContain('<form method="post">');
  });

  test('sends a user who agrees back with the state and a code for tokens', async () => {
    const location = await decide('allow');

    expect(location.href).toMatch(/^http:\/\/127\.0\.0\.1:8788\/callback\?/);
    expect(location.searchParams.get('state')).toBe('a state & more');
    const { status, body } = await exchange(location.searchParams.get('code'));
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3600 });
    const profile = await fetch(`${spotify.url}/v1/me`, {
      headers: { authorization: `Bearer ${body.access_token}` },
    });
    expect(await profile.json()).toEqual({ id: 'spotify-alice', email: 'alice@example.com' });
    expect(spotify.inspectRefreshToken(body.refresh_token)).toMatchObject({ isAlive: true });
    expect(spotify.calls).toEqual([
      expect.objectContaining({ userId: 'alice', outcome: 'authorized', status: 200 }),
    ]);
  });

  test('sends a user who does not agree back with the state and an error', async () => {
    const { searchParams } = await decide('deny');

    expect(Object.fromEntries(searchParams)).toEqual({ error: 'access_denied', state: 'a state & more' });
  });

  test.each([
    [{ client_id: 'somebody' }, 'INVALID_CLIENT: Invalid client'],
    [{ redirect_uri: `${redirectUri}/elsewhere` }, 'INVALID_CLIENT: Invalid redirect URI'],
    [{ response_type: 'token' }, 'response_type must be code'],
    [{ user_id: '' }, 'user_id must be supplied'],
  ])('is not shown, and redirects no one, with %j', async (changes, message) => {
    for (const method of ['GET', 'POST']) {
      const response = await fetch(consentUrl(changes), { method, redirect: 'manual' });
      expect(response.status).toBe(400);
      expect(await response.text()).toContain(message);
    }
  });
});

describe('a code', () => {
  test('works once', async () => {
    const code = (await decide('allow')).searchParams.get('code');
    expect((await exchange(code)).status).toBe(200);

    expect(await exchange(code)).toMatchObject(invalidCode);
  });

  test('works only with the address it was issued for', async () => {
    const code = (await decide('allow')).searchParams.get('code');

    expect(await exchange(code, { redirect_uri: 'http://127.0.0.1:9999/callback' })).toMatchObject(
      invalidCode,
    );
  });

  test('works for ten minutes', async () => {
    const code = (await decide('allow')).searchParams.get('code');
    const now = Date.now();
    jest.spyOn(Date, 'now').mockReturnValue(now + 601_000);

    expect(await exchange(code)).toMatchObject(invalidCode);
  });

  test('that was never issued is refused', async () => {
    expect(await exchange('invented')).toMatchObject(invalidCode);
  });
});
