/** @jest-environment jsdom */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createConnectionStore, getConnectionStore } from '../../frontend/src/connection-store.ts';
import { StatusError } from '../../frontend/src/status-error.ts';
import { ManualClock } from './fakes/manual-clock.ts';
import { connectedStatus, deadStatus, disconnectedStatus, ScriptedClient } from './fakes/scripted-client.ts';

const KEY = 'spotify-connection-1';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let client: ScriptedClient;
let clock: ManualClock;
let store: ReturnType<typeof createConnectionStore>;
let unsubscribes: (() => void)[];
let consoleError: ReturnType<typeof jest.spyOn>;

beforeEach(() => {
  consoleError = jest.spyOn(console, 'error').mockImplementation(() => {});
  localStorage.clear();
  client = new ScriptedClient();
  clock = new ManualClock();
  unsubscribes = [];
  openPage();
});

afterEach(async () => {
  for (const unsubscribe of unsubscribes) unsubscribe();
  await Promise.resolve();
  jest.restoreAllMocks();
  expect(consoleError).not.toHaveBeenCalled();
});

describe('a page of a user about whom nothing is known', () => {
  test('asks with the first listener, and is checking until the answer is there', async () => {
    expect(store.current('anna').state).toBe('checking');
    expect(client.checks).toEqual([]);

    const listener = listen('anna');
    expect(client.checks).toMatchObject([{ userId: 'anna' }]);
    expect(store.current('anna').state).toBe('checking');

    await client.last.answer(connectedStatus());
    expect(listener).toHaveBeenCalledTimes(1);
    expect(store.current('anna')).toEqual({
      state: 'connected',
      connection: {
        spotifyUserId: '31ab',
        spotifyUserEmail: 'someone@example.com',
        connectedAt: '2026-10-24T04:00:12.000Z',
        expiresAt: '2026-11-24T12:50:00.000Z',
        reauthorizeBy: '2027-04-24T04:00:12.000Z',
        autoRefreshed: false,
        degraded: false,
      },
      daysUntilReauthorization: 151,
      isConfirmed: true,
      message: null,
    });
  });

  test('says disconnected', async () => {
    listen('anna');
    await client.last.answer(disconnectedStatus);
    expect(store.current('anna')).toMatchObject({ state: 'disconnected', isConfirmed: true, message: null });
  });

  test('says that the user has to reconnect, and why', async () => {
    listen('anna');
    await client.last.answer(deadStatus);
    expect(store.current('anna')).toMatchObject({
      state: 'reconnect',
      isConfirmed: true,
      message: 'Connect again.',
    });
  });

  test('says unavailable in an outage, and why', async () => {
    listen('anna');
    await client.last.fail(new StatusError('unavailable', { detail: 'Nothing is lost.' }));
    expect(store.current('anna')).toMatchObject({
      state: 'unavailable',
      isConfirmed: false,
      message: 'Nothing is lost.',
    });
  });

  test('says why of the latest failure', async () => {
    listen('anna');
    await client.last.fail(new StatusError('unavailable', { detail: 'Nothing is lost.' }));
    window.dispatchEvent(new Event('focus'));
    await client.last.fail(new StatusError('unauthorized', { detail: 'Please sign in again.' }));
    expect(store.current('anna')).toMatchObject({
      state: 'unavailable',
      message: 'Please sign in again.',
    });
  });

  test('says unavailable when Spotify is out of reach', async () => {
    listen('anna');
    await client.last.answer({ kind: 'unavailable', message: 'Later.', retryAfterSeconds: 30 });
    expect(store.current('anna')).toMatchObject({ state: 'unavailable', message: 'Later.' });
  });

  test('asks nothing while no user is signed in', () => {
    for (const nobody of [null, undefined, '']) {
      listen(nobody);
      expect(store.current(nobody).state).toBe('checking');
    }
    expect(client.checks).toEqual([]);
  });
});

describe('listeners', () => {
  test('share one request and one view, however many they are', async () => {
    const listeners = [listen('anna'), listen('anna'), listen('anna')];

    await client.last.answer(connectedStatus());

    expect(client.checks).toHaveLength(1);
    for (const listener of listeners) expect(listener).toHaveBeenCalledTimes(1);
    expect(store.current('anna')).toBe(store.current('anna'));
  });

  test('that come after the answer cost no request', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());

    listen('anna');

    expect(client.checks).toHaveLength(1);
    expect(store.current('anna').state).toBe('connected');
  });

  test('that take over from the last one find its request under way', async () => {
    const unsubscribe = store.subscribe('anna', () => {});
    unsubscribe();
    listen('anna');
    await Promise.resolve();

    expect(client.checks).toHaveLength(1);
    expect(client.last.signal.aborted).toBe(false);
  });

  test('that are no longer there are not called', async () => {
    const listener = jest.fn();
    listen('anna');
    const unsubscribe = store.subscribe('anna', listener);
    unsubscribe();

    await client.last.answer(connectedStatus());

    expect(listener).not.toHaveBeenCalled();
  });

  test('leave nothing behind when the last has gone', async () => {
    const addEventListener = jest.spyOn(window, 'addEventListener');
    const unsubscribe = store.subscribe('anna', () => {});
    await client.last.answer(connectedStatus());
    expect(clock.pending).toHaveLength(1);
    client.checks.length = 0;

    unsubscribe();
    await Promise.resolve();
    window.dispatchEvent(new Event('focus'));
    clock.advance(DAY);

    expect(clock.pending).toEqual([]);
    expect(client.checks).toEqual([]);
    expect(addEventListener.mock.calls.length).toBeGreaterThan(0);
    for (const [, , options] of addEventListener.mock.calls) {
      expect(options).toMatchObject({ signal: { aborted: true } });
    }
  });

  test('end the request under way when the last has gone', async () => {
    const unsubscribe = store.subscribe('anna', () => {});
    unsubscribe();
    await Promise.resolve();
    expect(client.last.signal.aborted).toBe(true);

    await client.last.answer(connectedStatus());
    expect(stored()).toBeNull();
  });

  test('of everything that uses the same client share one store', () => {
    const other = new ScriptedClient();
    expect(getConnectionStore(client)).toBe(getConnectionStore(client));
    expect(getConnectionStore(client)).not.toBe(getConnectionStore(other));
  });
});

describe('the last known state', () => {
  test.each([
    ['connected', connectedStatus()],
    ['disconnected', disconnectedStatus],
    ['reconnect', deadStatus],
  ])('%s is shown at once on the next page, then confirmed', async (state, status) => {
    listen('anna');
    await client.last.answer(status);

    openPage();
    listen('anna');
    expect(store.current('anna')).toMatchObject({ state, isConfirmed: false });

    await client.last.answer(status);
    expect(store.current('anna')).toMatchObject({ state, isConfirmed: true });
  });

  test('is known before the first listener', async () => {
    await visit('anna', connectedStatus());

    openPage();

    expect(store.current('anna').state).toBe('connected');
    expect(client.checks).toHaveLength(1);
  });

  test('gives way to the answer', async () => {
    await visit('anna', connectedStatus());

    openPage();
    listen('anna');
    await client.last.answer(disconnectedStatus);

    expect(store.current('anna')).toMatchObject({ state: 'disconnected', isConfirmed: true });
  });

  test('holds no token, no e-mail, no Spotify id, and nothing but these members', async () => {
    await visit('anna', connectedStatus());

    expect(JSON.parse(stored() ?? '')).toEqual({
      user_id: 'anna',
      connected: true,
      reauthorize_by: '2027-04-24T04:00:12.000Z',
      retryable: false,
    });
    expect(localStorage).toHaveLength(1);
  });

  test('knows when the user has to reauthorize', async () => {
    await visit('anna', connectedStatus({ reauthorizeBy: clock.instantIn(6.5 * DAY) }));

    openPage();

    expect(store.current('anna')).toMatchObject({
      daysUntilReauthorization: 7,
      connection: { spotifyUserEmail: null, expiresAt: null, autoRefreshed: false, degraded: false },
    });
  });

  test('does not hold beyond the six months', async () => {
    await visit('anna', connectedStatus({ reauthorizeBy: clock.instantIn(HOUR) }));
    clock.advance(HOUR);

    openPage();

    expect(store.current('anna').state).toBe('checking');
  });

  test('holds for days when it is not known how long', async () => {
    await visit('anna', connectedStatus({ reauthorizeBy: null }));
    clock.advance(100 * DAY);

    openPage();

    expect(store.current('anna')).toMatchObject({ state: 'connected', daysUntilReauthorization: null });
  });

  test('of an outage is the one before it', async () => {
    await visit('anna', connectedStatus());
    openPage();
    listen('anna');
    await client.last.fail(new StatusError('unavailable'));

    openPage();

    expect(store.current('anna').state).toBe('connected');
  });

  test.each([
    'null',
    '7',
    '"connected"',
    '[]',
    '{}',
    '{"user_id":"anna"}',
    '{"user_id":"anna","connected":"yes"}',
    '{"user_id":"anna","connected":false,"reason":"token_refresh_failed","retryable":true}',
    '{"user_id":"berta","connected":true}',
    '{"connected":true}',
    '{"user_id":"anna","connected":tr',
    '',
    '\u0000',
  ])('is none where this is stored, which is then removed: %p', async (text) => {
    localStorage.setItem(KEY, text);
    openPage();

    listen('anna');
    expect(store.current('anna').state).toBe('checking');
    expect(stored()).toBeNull();

    await client.last.answer(connectedStatus());
    expect(store.current('anna').state).toBe('connected');
  });

  test.each(['{"user_id":null,"connected":true}', '{"user_id":"","connected":true}', '{"connected":true}'])(
    'of no user is none, whatever is stored: %p',
    (text) => {
      localStorage.setItem(KEY, text);
      for (const nobody of [null, undefined, '']) {
        openPage();
        expect(store.current(nobody).state).toBe('checking');
      }
    },
  );

  test('with a date that is none is the state without the date', () => {
    localStorage.setItem(KEY, '{"user_id":"anna","connected":true,"reauthorize_by":"never"}');
    openPage();

    expect(store.current('anna')).toMatchObject({ state: 'connected', daysUntilReauthorization: null });
  });

  test.each<[string, () => Storage]>([
    [
      'forbidden',
      () => {
        throw new DOMException('The operation is insecure.', 'SecurityError');
      },
    ],
    [
      'full',
      () =>
        ({
          getItem: () => null,
          setItem: () => {
            throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
          },
          removeItem: () => {},
        }) as unknown as Storage,
    ],
    ['missing', () => undefined as unknown as Storage],
  ])('is none where storage is %s, and everything else works', async (_name, openStorage) => {
    store = createConnectionStore({ client, clock, openStorage });

    listen('anna');
    expect(store.current('anna').state).toBe('checking');
    await client.last.answer(connectedStatus());
    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: true });

    store.forget();
    expect(store.current('anna').state).toBe('checking');
  });
});

describe('an outage never takes away what is known:', () => {
  const failures: [string, Error][] = [
    ['nothing is available', new StatusError('unavailable')],
    ['a page in place of an answer', new StatusError('unexpected_answer', { status: 200 })],
    ['a wrong address', new StatusError('rejected', { status: 404 })],
    ['a session that has ended', new StatusError('unauthorized', { status: 401 })],
    ['a session that is not there', new StatusError('signed_out')],
    ['a client that fails in a way of its own', new Error('boom')],
  ];
  test.each(failures)('%s', async (_name, failure) => {
    listen('anna');
    await client.last.answer(connectedStatus());
    window.dispatchEvent(new Event('focus'));
    await client.last.fail(failure);

    expect(store.current('anna')).toMatchObject({
      state: 'connected',
      isConfirmed: false,
      connection: { spotifyUserEmail: 'someone@example.com' },
    });
    expect(JSON.parse(stored() ?? '')).toMatchObject({ connected: true });
  });

  test('Spotify out of reach', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());
    window.dispatchEvent(new Event('focus'));
    await client.last.answer({ kind: 'unavailable', message: null, retryAfterSeconds: 5 });

    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: false });
  });

  test.each([
    ['disconnected', disconnectedStatus],
    ['reconnect', deadStatus],
  ])('%s stays as well', async (state, status) => {
    listen('anna');
    await client.last.answer(status);
    const { message } = store.current('anna');
    window.dispatchEvent(new Event('focus'));
    await client.last.fail(new StatusError('unavailable', { detail: 'Nothing is lost.' }));

    expect(store.current('anna')).toMatchObject({ state, isConfirmed: false, message });
  });

  test('and is over with the next answer', async () => {
    listen('anna');
    await client.last.fail(new StatusError('unavailable'));
    window.dispatchEvent(new Event('focus'));
    await client.last.answer(connectedStatus());

    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: true, message: null });
  });

  test('but no one sees the state of a user who is not the one signed in', async () => {
    await visit('anna', connectedStatus());

    openPage();
    listen('anna');
    await client.last.fail(new StatusError('forbidden', { status: 403 }));

    expect(store.current('anna')).toMatchObject({ state: 'unavailable', connection: null });
    expect(stored()).toBeNull();
  });
});

describe('another user', () => {
  test('sees nothing of the one before, not even after a reload', async () => {
    await visit('anna', connectedStatus());

    openPage();
    listen('berta');

    expect(store.current('berta').state).toBe('checking');
    expect(stored()).toBeNull();
  });

  test('on the same page ends the request of the one before, whose late answer changes nothing', async () => {
    listen('anna');
    const [annas] = client.checks;
    listen('berta');
    expect(annas?.signal.aborted).toBe(true);
    expect(client.checks).toMatchObject([{ userId: 'anna' }, { userId: 'berta' }]);

    await annas?.answer(connectedStatus());
    expect(store.current('berta').state).toBe('checking');
    expect(stored()).toBeNull();

    await client.last.answer(disconnectedStatus);
    await annas?.answer(connectedStatus());
    expect(store.current('berta').state).toBe('disconnected');
    expect(store.current('anna').state).toBe('checking');
  });

  test('leaves nothing for the one who comes back', async () => {
    const unsubscribe = store.subscribe('anna', () => {});
    await client.last.answer(connectedStatus());
    listen('berta');
    unsubscribe();
    await client.last.answer(disconnectedStatus);

    listen('anna');

    expect(store.current('anna').state).toBe('checking');
  });
});

describe('forgetting', () => {
  test('clears what is shown and what is stored, and ends the request under way', async () => {
    const listener = listen('anna');
    await client.last.answer(connectedStatus());
    window.dispatchEvent(new Event('focus'));
    listener.mockClear();

    store.forget();

    expect(listener).toHaveBeenCalled();
    expect(store.current('anna').state).toBe('checking');
    expect(stored()).toBeNull();
    expect(clock.pending).toEqual([]);
    expect(client.last.signal.aborted).toBe(true);
  });

  test('holds against an answer that comes late', async () => {
    listen('anna');
    store.forget();
    await client.last.answer(connectedStatus());

    expect(store.current('anna').state).toBe('checking');
    expect(stored()).toBeNull();
  });

  test('works before the first listener', async () => {
    await visit('anna', connectedStatus());

    openPage();
    store.forget();

    expect(store.current('anna').state).toBe('checking');
  });
});

describe('it asks again', () => {
  test.each(['focus', 'online', 'visibilitychange'])('on %s', async (type) => {
    listen('anna');
    await client.last.answer(connectedStatus());

    window.dispatchEvent(new Event(type));
    expect(client.checks).toHaveLength(2);
    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: true });

    await client.last.answer(disconnectedStatus);
    expect(store.current('anna').state).toBe('disconnected');
  });

  test('when the page comes out of the back/forward cache, not when it has loaded', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());

    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: false }));
    expect(client.checks).toHaveLength(1);
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    expect(client.checks).toHaveLength(2);
  });

  test('once for events that come together', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());

    window.dispatchEvent(new Event('visibilitychange'));
    window.dispatchEvent(new Event('focus'));
    window.dispatchEvent(new Event('online'));

    expect(client.checks).toHaveLength(2);
  });

  test('not while the page is hidden', async () => {
    listen('anna');
    await client.last.answer(connectedStatus({ expiresAt: clock.instantIn(HOUR) }));

    hidePage('hidden');
    window.dispatchEvent(new Event('visibilitychange'));
    clock.advance(HOUR);
    expect(client.checks).toHaveLength(1);

    hidePage('visible');
    window.dispatchEvent(new Event('visibilitychange'));
    expect(client.checks).toHaveLength(2);
  });

  test('two minutes before the token runs out', async () => {
    listen('anna');
    await client.last.answer(connectedStatus({ expiresAt: clock.instantIn(HOUR) }));

    clock.advance(58 * MINUTE - 1);
    expect(client.checks).toHaveLength(1);
    clock.advance(1);
    expect(client.checks).toHaveLength(2);
  });

  test.each([
    ['run out', -HOUR],
    ['very little time left', 1_000],
  ])('after a minute when the token seems to have %s', async (_name, milliseconds) => {
    listen('anna');
    await client.last.answer(connectedStatus({ expiresAt: clock.instantIn(milliseconds) }));

    clock.advance(MINUTE - 1);
    expect(client.checks).toHaveLength(1);
    clock.advance(1);
    expect(client.checks).toHaveLength(2);
  });

  test('after a day at the latest: no timer can take the time until the year 2200', async () => {
    listen('anna');
    await client.last.answer(connectedStatus({ expiresAt: '2200-01-01T00:00:00.000Z' }));

    expect(clock.pending).toEqual([DAY]);
  });

  test('without a time of its own when it is not known when the token runs out', async () => {
    listen('anna');
    await client.last.answer(connectedStatus({ expiresAt: null }));
    expect(clock.pending).toEqual([]);
  });

  test('after a failure with backoff, up to five minutes, and from the start after an answer', async () => {
    listen('anna');
    for (const wait of [2_500, 5_000, 10_000, 20_000, 40_000, 80_000, 150_000, 150_000]) {
      await client.last.fail(new StatusError('unavailable'));
      expect(clock.pending).toEqual([wait]);
      clock.advance(wait);
    }
    await client.last.answer(disconnectedStatus);
    expect(clock.pending).toEqual([]);

    window.dispatchEvent(new Event('focus'));
    await client.last.fail(new StatusError('unexpected_answer'));
    expect(clock.pending).toEqual([2_500]);
  });

  test('no sooner than the API says, even if the user looks at the page', async () => {
    listen('anna');
    await client.last.fail(new StatusError('unavailable', { retryAfterSeconds: 600 }));
    expect(clock.pending).toEqual([602_500]);

    clock.advance(599_999);
    window.dispatchEvent(new Event('focus'));
    window.dispatchEvent(new Event('online'));
    expect(client.checks).toHaveLength(1);

    clock.advance(1);
    window.dispatchEvent(new Event('focus'));
    expect(client.checks).toHaveLength(2);
  });

  test('when the user says so, whatever the API says', async () => {
    listen('anna');
    await client.last.answer({ kind: 'unavailable', message: null, retryAfterSeconds: 600 });

    store.recheck();
    expect(client.checks).toHaveLength(2);

    await client.last.answer(connectedStatus());
    window.dispatchEvent(new Event('focus'));
    expect(client.checks).toHaveLength(3);
  });

  test.each(['signed_out', 'unauthorized', 'forbidden', 'rejected'] as const)(
    'not by itself after %s, but when the user looks at the page',
    async (code) => {
      listen('anna');
      await client.last.fail(new StatusError(code));
      expect(clock.pending).toEqual([]);

      window.dispatchEvent(new Event('focus'));
      expect(client.checks).toHaveLength(2);
    },
  );
});

describe('rechecking', () => {
  test('takes the place of a request under way, whose answer changes nothing any more', async () => {
    listen('anna');
    const [first] = client.checks;

    const recheck = store.recheck();
    expect(first?.signal.aborted).toBe(true);
    await client.last.answer(connectedStatus());
    await recheck;
    await first?.answer(disconnectedStatus);

    expect(client.checks).toHaveLength(2);
    expect(store.current('anna').state).toBe('connected');
  });

  test('resolves when it fails, too', async () => {
    listen('anna');
    const recheck = store.recheck();
    await client.last.fail(new Error('boom'));

    await expect(recheck).resolves.toBeUndefined();
    expect(store.current('anna').state).toBe('unavailable');
  });

  test('asks nothing while no user is signed in', async () => {
    await expect(store.recheck()).resolves.toBeUndefined();
    expect(client.checks).toEqual([]);
  });
});

describe('two tabs', () => {
  test('agree: what one stores the other shows at once, and asks about', async () => {
    listen('anna');
    await client.last.answer(disconnectedStatus);

    otherTabStores({ user_id: 'anna', connected: true, reauthorize_by: '2027-05-24T12:00:00.000Z' });

    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: false });
    expect(client.checks).toHaveLength(2);
  });

  test('ask once about a new authorization', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());
    const news = { user_id: 'anna', connected: true, reauthorize_by: '2027-05-24T12:00:00.000Z' };

    otherTabStores(news);
    await client.last.answer(connectedStatus({ reauthorizeBy: news.reauthorize_by }));
    otherTabStores(news);

    expect(client.checks).toHaveLength(2);
    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: true });
  });

  test('do not ask about what both know', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());

    otherTabStores({ user_id: 'anna', connected: true, reauthorize_by: '2027-04-24T04:00:12.000Z' });

    expect(client.checks).toHaveLength(1);
    expect(store.current('anna')).toMatchObject({ isConfirmed: true });
  });

  test('agree while one cannot be seen, without asking', async () => {
    listen('anna');
    await client.last.answer(disconnectedStatus);
    hidePage('hidden');

    otherTabStores({ user_id: 'anna', connected: true });

    expect(store.current('anna').state).toBe('connected');
    expect(client.checks).toHaveLength(1);
  });

  test('do not mix up users', async () => {
    listen('anna');
    await client.last.answer(connectedStatus());

    otherTabStores({ user_id: 'berta', connected: false });

    expect(store.current('anna').state).toBe('checking');
    expect(store.current('berta').state).toBe('checking');
  });

  test.each([KEY, null])('both forget when one signs out: %p', async (key) => {
    listen('anna');
    await client.last.answer(connectedStatus());
    window.dispatchEvent(new Event('focus'));

    window.dispatchEvent(new StorageEvent('storage', { key, newValue: null }));

    expect(store.current('anna').state).toBe('checking');
    expect(client.last.signal.aborted).toBe(true);
    // The session may still work for a moment, and an answer would be stored.
    expect(client.checks).toHaveLength(2);
    expect(clock.pending).toEqual([]);
  });

  test("do not care about the rest of the page's storage", async () => {
    listen('anna');
    await client.last.answer(connectedStatus());

    window.dispatchEvent(new StorageEvent('storage', { key: 'theme', newValue: null }));
    window.dispatchEvent(new StorageEvent('storage', { key: 'theme', newValue: 'dark' }));

    expect(store.current('anna')).toMatchObject({ state: 'connected', isConfirmed: true });
    expect(client.checks).toHaveLength(1);
  });

  function otherTabStores(value: object): void {
    window.dispatchEvent(new StorageEvent('storage', { key: KEY, newValue: JSON.stringify(value) }));
  }
});

describe('daysUntilReauthorization', () => {
  test.each([
    [30 * DAY, 30],
    [30 * DAY + 1, 31],
    [1 * DAY, 1],
    [1, 1],
    [0, 0],
    [-5 * DAY, 0],
  ])('with %p ms left is %p', async (milliseconds, days) => {
    listen('anna');
    await client.last.answer(connectedStatus({ reauthorizeBy: clock.instantIn(milliseconds) }));
    expect(store.current('anna').daysUntilReauthorization).toBe(days);
  });
});

/** A new page in the same browser. */
function openPage(): void {
  for (const unsubscribe of unsubscribes.splice(0)) unsubscribe();
  store = createConnectionStore({ client, clock });
}

function listen(userId: string | null | undefined) {
  const listener = jest.fn();
  unsubscribes.push(store.subscribe(userId, listener));
  return listener;
}

/** A page on which the user got that answer, and left. */
async function visit(userId: string, status: Parameters<ScriptedClient['last']['answer']>[0]): Promise<void> {
  listen(userId);
  await client.last.answer(status);
}

function stored(): string | null {
  return localStorage.getItem(KEY);
}

function hidePage(visibility: DocumentVisibilityState): void {
  jest.spyOn(document, 'visibilityState', 'get').mockReturnValue(visibility);
}
