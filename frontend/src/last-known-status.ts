import { type KnownStatus, readStatus } from './connection-status.ts';
import { readMembers } from './json.ts';

/** The number goes up when what is stored changes: pages of two releases can be open side by side. */
export const LAST_KNOWN_STATUS_KEY = 'spotify-connection-1';

/** Opens a storage that outlives the page; throws where that is forbidden, as `localStorage` itself does. */
export type OpenStorage = () => Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** What is stored, of whichever user; null where there is nothing. */
export function readLastKnownStatus(open: OpenStorage): string | null {
  return quietly(() => open().getItem(LAST_KNOWN_STATUS_KEY));
}

/** The status of that user in what was stored; null where there is none, or none that can be right. */
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
 * Stores a status, in the place of any other user's. Written as the API answers it, and no more of it than a reload
 * has to show: no token, no e-mail, no Spotify id.
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

/** Stores nothing any more, of whichever user. */
export function clearLastKnownStatus(open: OpenStorage): void {
  quietly(() => open().removeItem(LAST_KNOWN_STATUS_KEY));
}

/** Storage may be forbidden or full. Then nothing outlives the page, which is no error of anybody's. */
function quietly<T>(use: () => T): T | null {
  try {
    return use();
  } catch {
    return null;
  }
}
