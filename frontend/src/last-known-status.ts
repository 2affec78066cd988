import { type KnownStatus, readStatus } from './connection-status.ts';
import { readMembers } from './json.ts';

/** The number is raised when the stored format changes: pages of two releases can be open side by side. */
export const LAST_KNOWN_STATUS_KEY = 'spotify-connection-1';

/** Opens a storage that outlives the page; throws if storage is forbidden, as `localStorage` itself does. */
export type OpenStorage = () => Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** The stored text, of any user; null if there is none. */
export function readLastKnownStatus(open: OpenStorage): string | null {
  return quietly(() => open().getItem(LAST_KNOWN_STATUS_KEY));
}

/** The user's stored status; null if there is none, or if it cannot be right. */
export function parseLastKnownStatus(stored: string | null, userId: string, now: number): KnownStatus | null {
  const members = readMembers(stored);
  const status = members['user_id'] === userId ? readStatus(members) : null;
  if (status === null || status.kind === 'unavailable') {
    return null;
  }
  const hasEnded = status.kind === 'connected' && Date.parse(status.reauthorizeBy ?? '') <= now;
  return hasEnded ? null : status;
}

/**
 * Stores a status, and replaces another user's. It has the format of the API's answer, and only what a reload
 * has to show: no token, no e-mail address, no Spotify id.
 */
export function writeLastKnownStatus(open: OpenStorage, userId: string, status: KnownStatus): void {
  const members = {
    user_id: userId,
    connected: status.kind === 'connected',
    reauthorize_by: status.kind === 'connected' ? status.reauthorizeBy : undefined,
    reason: status.kind === 'reauthorization_required' ? 'token_refresh_failed' : undefined,
    retryable: false,
  };
  quietly(() => open().setItem(LAST_KNOWN_STATUS_KEY, JSON.stringify(members)));
}

/** Deletes the stored status, of any user. */
export function clearLastKnownStatus(open: OpenStorage): void {
  quietly(() => open().removeItem(LAST_KNOWN_STATUS_KEY));
}

/** Storage may be forbidden or full. Then nothing outlives the page, which is not an error. */
function quietly<T>(use: () => T): T | null {
  try {
    return use();
  } catch {
    return null;
  }
}
