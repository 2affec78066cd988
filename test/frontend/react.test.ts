/**
 * @jest-environment jsdom
 * @jest-environment-options {"customExportConditions": ["node", "node-addons"]}
 */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { act, createElement, Fragment, type ReactNode, StrictMode, useEffect, useLayoutEffect } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { getConnectionStore, type UserId } from '../../frontend/src/connection-store.ts';
import { type SpotifyConnection, useSpotifyConnection, useSpotifyLanding } from '../../frontend/src/react.ts';
import type { StatusClient } from '../../frontend/src/status-client.ts';
import { StatusError } from '../../frontend/src/status-error.ts';
import { connectedStatus, disconnectedStatus, ScriptedClient } from './fakes/scripted-client.ts';

const KEY = 'spotify-connection-1';
const LAST_KNOWN = JSON.stringify({ user_id: 'anna', connected: true, reauthorize_by: null });

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };

let client: ScriptedClient;
let container: HTMLElement;
let root: Root | null;
let consoleError: ReturnType<typeof jest.spyOn>;

beforeEach(() => {
  environment.IS_REACT_ACT_ENVIRONMENT = true;
  consoleError = jest.spyOn(console, 'error').mockImplementation(() => {});
  localStorage.clear();
  client = new ScriptedClient();
  container = document.createElement('div');
  root = null;
});

afterEach(async () => {
  await act(async () => root?.unmount());
  jest.restoreAllMocks();
  expect(consoleError).not.toHaveBeenCalled();
});

describe('useSpotifyConnection', () => {
  test('shows checking, then the answer', async () => {
    await render(createElement(Status, { client, userId: 'anna' }));
    expect(container.textContent).toBe('checking');

    await act(() => client.last.answer(connectedStatus()));
    expect(container.textContent).toBe('connected confirmed someone@example.com');
  });

  test('shows the last known state with its first render', async () => {
    localStorage.setItem(KEY, LAST_KNOWN);
    const rendered: string[] = [];

    await render(
      createElement(Status, { client, userId: 'anna', onRender: ({ state }) => rendered.push(state) }),
    );

    expect(new Set(rendered)).toEqual(new Set(['connected']));
    expect(container.textContent).toBe('connected');
  });

  test('asks before the browser paints', async () => {
    let askedWhenCommitted: number | undefined;
    function Probe() {
      useLayoutEffect(() => {
        askedWhenCommitted = client.checks.length;
      }, []);
      return null;
    }

    await render(createElement(Status, { client, userId: 'anna' }), createElement(Probe));

    expect(askedWhenCommitted).toBe(1);
  });

  test('asks once for any number of components, in strict mode too', async () => {
    const many = Array.from({ length: 20 }, (_, key) =>
      createElement(Status, { key, client, userId: 'anna' }),
    );
    await render(createElement(StrictMode, null, many));
    await act(() => client.last.answer(disconnectedStatus));

    expect(client.checks).toHaveLength(1);
    expect(container.textContent).toBe('disconnected confirmed'.repeat(20));
  });

  test('asks once when one component takes over from another', async () => {
    await render(createElement(Status, { key: 'one page', client, userId: 'anna' }));
    await render(createElement(Status, { key: 'another page', client, userId: 'anna' }));

    expect(client.checks).toHaveLength(1);
    expect(client.last.signal.aborted).toBe(false);
  });

  test('gives the same recheck with every render', async () => {
    const rechecks = new Set<unknown>();
    await render(
      createElement(Status, { client, userId: 'anna', onRender: ({ recheck }) => rechecks.add(recheck) }),
    );
    await act(() => client.last.answer(disconnectedStatus));
    expect(rechecks.size).toBe(1);
  });

  test('rechecks', async () => {
    let recheck = () => Promise.resolve();
    await render(
      createElement(Status, {
        client,
        userId: 'anna',
        onRender: (connection) => {
          recheck = connection.recheck;
        },
      }),
    );
    await act(() => client.last.answer(disconnectedStatus));

    await act(async () => {
      const rechecked = recheck();
      await client.last.answer(connectedStatus());
      await rechecked;
    });

    expect(client.checks).toHaveLength(2);
    expect(container.textContent).toContain('connected confirmed');
  });

  test('keeps connected through an outage, and says that it is not confirmed', async () => {
    await render(createElement(Status, { client, userId: 'anna' }));
    await act(() => client.last.answer(connectedStatus()));
    act(() => void window.dispatchEvent(new Event('focus')));
    await act(() => client.last.fail(new StatusError('unavailable')));

    expect(container.textContent).toBe('connected someone@example.com');
  });

  test('renders no more often than the view changes', async () => {
    const onRender = jest.fn();
    await render(createElement(Status, { client, userId: 'anna', onRender }));
    await act(() => client.last.answer(connectedStatus()));
    onRender.mockClear();

    await act(async () => void window.dispatchEvent(new Event('focus')));
    expect(onRender).not.toHaveBeenCalled();

    await act(() => client.last.answer(connectedStatus()));
    expect(onRender).toHaveBeenCalledTimes(1);
  });

  test('stops when the component goes', async () => {
    await render(createElement(Status, { client, userId: 'anna' }));
    await render();
    expect(client.last.signal.aborted).toBe(true);

    await client.last.answer(connectedStatus());
    window.dispatchEvent(new Event('focus'));
    expect(client.checks).toHaveLength(1);
    expect(localStorage.getItem(KEY)).toBeNull();
  });

  test('works where storage is forbidden', async () => {
    jest.spyOn(window, 'localStorage', 'get').mockImplementation(() => {
      throw new DOMException('The operation is insecure.', 'SecurityError');
    });
    await render(createElement(Status, { client, userId: 'anna' }));
    await act(() => client.last.answer(connectedStatus()));
    expect(container.textContent).toContain('connected confirmed');
    await render(createElement(Status, { client, userId: null }));
    expect(container.textContent).toBe('checking');
  });
});

describe('a change of user', () => {
  test('in the middle of a request: neither its answer nor a late one is shown to the next user', async () => {
    await render(createElement(Status, { client, userId: 'anna' }));
    const [annas] = client.checks;
    await render(createElement(Status, { client, userId: 'berta' }));
    expect(annas?.signal.aborted).toBe(true);

    await act(async () => annas?.answer(connectedStatus()));
    expect(container.textContent).toBe('checking');
    await act(() => client.last.answer(disconnectedStatus));
    await act(async () => annas?.answer(connectedStatus()));
    expect(container.textContent).toBe('disconnected confirmed');
  });

  test('never shows the next user a state of the one before, not for one render', async () => {
    const rendered: string[] = [];
    const onRender = ({ state, connection }: SpotifyConnection, userId: UserId) =>
      void rendered.push(`${userId}: ${state} ${connection?.spotifyUserEmail ?? ''}`);
    await render(createElement(Status, { client, userId: 'anna', onRender }));
    await act(() => client.last.answer(connectedStatus()));
    await render(createElement(Status, { client, userId: 'berta', onRender }));

    const bertas = rendered.filter((line) => line.startsWith('berta'));
    expect(new Set(bertas)).toEqual(new Set(['berta: checking ']));
    expect(localStorage.getItem(KEY)).toBeNull();
  });

  test('to the next client asks that one', async () => {
    const next = new ScriptedClient();
    await render(createElement(Status, { client, userId: 'anna' }));
    await render(createElement(Status, { client: next, userId: 'anna' }));

    expect(client.last.signal.aborted).toBe(true);
    await act(() => next.last.answer(disconnectedStatus));
    expect(container.textContent).toBe('disconnected confirmed');
  });
});

describe('signing out', () => {
  test.each([null, undefined])('clears what is shown and stored at once: %p', async (nobody) => {
    await render(createElement(Status, { client, userId: 'anna' }));
    await act(() => client.last.answer(connectedStatus()));
    expect(localStorage.getItem(KEY)).not.toBeNull();

    await render(createElement(Status, { client, userId: nobody }));

    expect(container.textContent).toBe('checking');
    expect(localStorage.getItem(KEY)).toBeNull();
    expect(client.checks).toHaveLength(1);
  });

  test('clears what has been learned since the page was opened without a user', async () => {
    await render(createElement(Status, { client, userId: null }));
    await render(createElement(Status, { client, userId: 'anna' }));
    await act(() => client.last.answer(connectedStatus()));
    await render(createElement(Status, { client, userId: null }));

    expect(localStorage.getItem(KEY)).toBeNull();
  });

  test('while a request is under way: its 401 and its answer change nothing', async () => {
    await render(createElement(Status, { client, userId: 'anna' }));
    await render(createElement(Status, { client, userId: null }));

    await act(() => client.last.fail(new StatusError('unauthorized', { status: 401 })));
    expect(container.textContent).toBe('checking');
    await act(() => client.last.answer(connectedStatus()));
    expect(container.textContent).toBe('checking');
    expect(localStorage.getItem(KEY)).toBeNull();
  });

  test('is something else than not being known yet: on a reload the last known state waits for its user', async () => {
    localStorage.setItem(KEY, LAST_KNOWN);
    await render(createElement(Status, { client, userId: null }));
    expect(container.textContent).toBe('checking');

    await render(createElement(Status, { client, userId: 'anna' }));

    expect(container.textContent).toBe('connected');
  });

  test('can be told without a component, through the store', async () => {
    await render(createElement(Status, { client, userId: 'anna' }));
    await act(() => client.last.answer(connectedStatus()));

    await act(async () => getConnectionStore(client).forget());

    expect(container.textContent).toBe('checking');
    expect(localStorage.getItem(KEY)).toBeNull();
  });
});

describe('markup from a server', () => {
  test('says checking, and asks nothing', () => {
    localStorage.setItem(KEY, LAST_KNOWN);

    expect(renderToString(createElement(Status, { client, userId: 'anna' }))).toBe('<p>checking</p>');
    expect(client.checks).toEqual([]);
  });

  test('is taken over without a mismatch, and shows the last known state before it is painted', async () => {
    localStorage.setItem(KEY, LAST_KNOWN);
    environment.IS_REACT_ACT_ENVIRONMENT = false;
    const painted = Promise.withResolvers<string | null>();
    function Probe() {
      // Microtasks that are queued when React commits run before the browser can paint, later tasks may not.
      useLayoutEffect(() => queueMicrotask(() => painted.resolve(container.textContent)), []);
      return null;
    }
    const page = createElement(
      Fragment,
      null,
      createElement(Status, { client, userId: 'anna' }),
      createElement(Probe),
    );
    container.innerHTML = renderToString(page);
    const onRecoverableError = jest.fn();

    root = hydrateRoot(container, page, { onRecoverableError });

    expect(await painted.promise).toBe('connected');
    expect(client.checks).toHaveLength(1);
    expect(onRecoverableError).not.toHaveBeenCalled();
    environment.IS_REACT_ACT_ENVIRONMENT = true;
  });
});

describe('useSpotifyLanding', () => {
  test('reports a landing once, in strict mode and for a component that comes back', async () => {
    history.replaceState(null, '', '/entertainment?spotify_connected=true&tab=music');
    const reported = Promise.withResolvers<void>();
    const onConnected = jest.fn(() => reported.resolve());

    await render(createElement(StrictMode, null, createElement(Landing, { key: 1, onConnected })));
    await act(() => reported.promise);
    await render(createElement(StrictMode, null, createElement(Landing, { key: 2, onConnected })));
    await act(nextTask);

    expect(onConnected).toHaveBeenCalledTimes(1);
    expect(location.search).toBe('?tab=music');
  });

  test('shows an error as text', async () => {
    history.replaceState(null, '', `/entertainment?spotify_error=${encodeURIComponent('<b>denied</b>')}`);
    const reported = Promise.withResolvers<string>();

    await render(createElement(Landing, { onError: reported.resolve }));

    expect(await act(() => reported.promise)).toBe('<b>denied</b>');
  });

  test('comes after the effects of the components around it, among them those of a router', async () => {
    history.replaceState(null, '', '/entertainment?spotify_connected=true');
    const order: string[] = [];
    const reported = Promise.withResolvers<void>();
    function Router({ children }: { readonly children: ReactNode }) {
      useEffect(() => void order.push('router'), []);
      return children;
    }
    const onConnected = () => {
      order.push('landing');
      reported.resolve();
    };

    await render(createElement(Router, null, createElement(Landing, { onConnected })));
    await act(() => reported.promise);

    expect(order).toEqual(['router', 'landing']);
  });

  test('leaves the landing to another component when the first goes at once', async () => {
    history.replaceState(null, '', '/entertainment?spotify_connected=true');
    const onConnected = jest.fn();
    root = createRoot(container);
    act(() => root?.render(createElement(Landing, { onConnected })));
    act(() => root?.render(null));
    await nextTask();

    expect(onConnected).not.toHaveBeenCalled();
    expect(location.search).toBe('?spotify_connected=true');
  });
});

function Status({
  client,
  userId,
  onRender,
}: {
  readonly client: StatusClient;
  readonly userId: UserId;
  readonly onRender?: (connection: SpotifyConnection, userId: UserId) => void;
}) {
  const connection = useSpotifyConnection({ client, userId });
  onRender?.(connection, userId);
  const text = [
    connection.state,
    connection.isConfirmed ? 'confirmed' : '',
    connection.connection?.spotifyUserEmail ?? '',
  ];
  return createElement('p', null, text.filter((word) => word !== '').join(' '));
}

function Landing(callbacks: Parameters<typeof useSpotifyLanding>[0]) {
  useSpotifyLanding(callbacks);
  return null;
}

async function render(...children: ReactNode[]): Promise<void> {
  await act(async () => {
    root ??= createRoot(container);
    root.render(createElement(Fragment, null, ...children));
  });
}

function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
