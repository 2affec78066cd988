/** @jest-environment jsdom */
import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { readLanding } from '../../frontend/src/landing.ts';

const onConnected = jest.fn();
const onError = jest.fn();

beforeEach(() => {
  onConnected.mockClear();
  onError.mockClear();
  history.replaceState({ kept: true }, '', '/entertainment');
});

describe('a landing', () => {
  test('with a connection is reported, once', () => {
    land('?spotify_connected=true');
    readLanding({ onConnected, onError });

    expect(onConnected).toHaveBeenCalledTimes(1);
    expect(onError).not.toHaveBeenCalled();
    expect(address()).toBe('/entertainment');
  });

  test('with an error is reported, once, as it was written', () => {
    const markup = '<img src=x onerror=alert(1)>';
    land(`?spotify_error=${encodeURIComponent(markup)}`);
    readLanding({ onConnected, onError });

    expect(onError.mock.calls).toEqual([[markup]]);
    expect(onConnected).not.toHaveBeenCalled();
    expect(address()).toBe('/entertainment');
  });

  test.each(['?spotify_error=', '?spotify_error'])('with an error without a code is one: %p', (search) => {
    land(search);
    expect(onError.mock.calls).toEqual([['']]);
  });

  test('that claims both has failed', () => {
    land('?spotify_connected=true&spotify_error=access_denied');
    expect(onError.mock.calls).toEqual([['access_denied']]);
    expect(onConnected).not.toHaveBeenCalled();
  });

  test.each(['false', '', 'TRUE', '1'])(
    'with spotify_connected=%s says nothing, and is tidied up',
    (value) => {
      land(`?spotify_connected=${value}`);
      expect(onConnected).not.toHaveBeenCalled();
      expect(address()).toBe('/entertainment');
    },
  );

  test.each([
    ['?spotify_connected=true&tab=music', '?tab=music'],
    ['?tab=music&spotify_error=x', '?tab=music'],
    ['?a=1&spotify_connected=true&b=2#playlists', '?a=1&b=2#playlists'],
    ['?q=a+b%20c&empty&spotify_connected=true&q=%C3%BC&=x', '?q=a+b%20c&empty&q=%C3%BC&=x'],
    ['?spotify_connected=true#spotify_connected=true', '#spotify_connected=true'],
    ['?not_spotify_error=1&spotify_errors=2&spotify_error=x', '?not_spotify_error=1&spotify_errors=2'],
    ['?return=/x?spotify_connected=true&spotify_connected=true', '?return=/x?spotify_connected=true'],
  ])('leaves the rest of the address as it was written: %s', (before, after) => {
    land(before);
    expect(address()).toBe(`/entertainment${after}`);
  });

  test('adds no entry to the history, and keeps the state of the present one', () => {
    const { length } = history;
    land('?spotify_connected=true');
    expect(history.length).toBe(length);
    expect(history.state).toEqual({ kept: true });
  });

  test("is tidied up without the mark of Next's router, which would then not follow", () => {
    const replaceState = jest.fn();
    readLanding({
      location: { pathname: '/entertainment', search: '?spotify_connected=true', hash: '' },
      history: { state: { __NA: true, kept: true }, replaceState },
    });
    expect(replaceState.mock.calls).toEqual([[{ kept: true }, '', '/entertainment']]);
  });

  test('is tidied up before it is reported, so that a callback that fails does not report it again', () => {
    onConnected.mockImplementationOnce(() => {
      throw new Error('boom');
    });
    expect(() => land('?spotify_connected=true')).toThrow('boom');
    expect(address()).toBe('/entertainment');
  });

  test('without a callback is tidied up all the same', () => {
    history.replaceState(null, '', '/entertainment?spotify_error=x');
    readLanding({});
    expect(address()).toBe('/entertainment');
  });
});

test.each(['', '?tab=music', '?return=/x?spotify_connected=true', '?spotify=1#spotify_error=x'])(
  'an address without a landing is not touched: %p',
  (search) => {
    history.replaceState(null, '', `/entertainment${search}`);
    const replaceState = jest.fn();

    readLanding({ onConnected, onError, history: { state: null, replaceState } });

    expect(replaceState).not.toHaveBeenCalled();
    expect(onConnected).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
  },
);

function land(search: string): void {
  history.replaceState(history.state, '', `/entertainment${search}`);
  readLanding({ onConnected, onError });
}

function address(): string {
  return location.pathname + location.search + location.hash;
}
