import { type ConnectionStatus, statusIn } from './connection-status.ts';
import { membersIn } from './json.ts';

/** The number goes up when what is stored changes: pages of two releases can be open side by side. */
export const LAST_KNOWN_STATE_KEY = 'spotify-connection-1';

/** A status that says what the connection is. */
export type KnownStatus = Exclude<ConnectionStatus, { kind: 'unavailable' }>;

export type KeyValueStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** The browser's, looked up on each use: where storage is forbidden, looking it up already throws. */
export const browserStorage: KeyValueStorage = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => localStorage.setItem(key, value),
  removeItem: (key) => localStorage.removeItem(key),
};

/** What is stored, whatever it is; null where there is nothing or storage is forbidden. */
export function readLastKnownState(storage: KeyValueStorage): string | null {
  try {
    return storage.getItem(LAST_KNOWN_STATE_KEY);
  } catch {
    return null;
  }
}

/**
 * Stores a status in the form in which the API answers it, as much as is needed to show it after a reload: no token, no
 * e-mail, no Spotify id. It replaces that of any other user. Where storage is forbidden or full, nothing is stored.
 */
export function writeLastKnownState(storage: KeyValueStorage, userId: string, status: KnownStatus): void {
  const state = {
    user_id: userId,
    connected: status.kind === 'connected',
    ...(status.kind === 'connected' && { reauthorize_by: status.reauthorizeBy }),
    ...(status.kind === 'reauthorization_required' && { reason: 'token_refresh_failed', retryable: false }),
  };
  try {
    storage.setItem(LAST_KNOWN_STATE_KEY, JSON.stringify(state));
  } catch {}
}

export function clearLastKnownState(storage: KeyValueStorage): void {
  try {
    storage.removeItem(LAST_KNOWN_STATE_KEY);
  } catch {}
}

/** The status of that user in a stored text; null where it is not one, or cannot hold any more. */
export function lastKnownStatusIn(text: string | null, userId: string, now: number): KnownStatus | null {
  const members = membersIn(text);
  const status = members['user_id'] === userId ? statusIn(members) : null;
  if (status === null || status.kind === 'unavailable') {
    return null;
  }
  const hasEnded =
    status.kind === 'connected' && status.reauthorizeBy !== null && Date.parse(status.reauthorizeBy) <= now;
  return hasEnded ? null : status;
}
