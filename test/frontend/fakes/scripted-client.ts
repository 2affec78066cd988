import type { ConnectionStatus } from '../../../frontend/src/connection-status.ts';
import type { StatusClient } from '../../../frontend/src/status-client.ts';

/** A check that a test answers. */
export type Check = {
  readonly userId: string;
  readonly signal: AbortSignal;
  /** Answers, and resolves when the caller has processed it. */
  answer(status: ConnectionStatus): Promise<void>;
  /** Rejects, and resolves when the caller has processed it. */
  fail(error: Error): Promise<void>;
};

/** A client that answers when the test says so, even a check that was called off. */
export class ScriptedClient implements StatusClient {
  readonly checks: Check[] = [];

  check(userId: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<ConnectionStatus> {
    return new Promise((resolve, reject) => {
      this.checks.push({
        userId,
        signal: signal ?? new AbortController().signal,
        answer: (status) => settled(() => resolve(status)),
        fail: (error) => settled(() => reject(error)),
      });
    });
  }

  get last(): Check {
    const last = this.checks.at(-1);
    if (last === undefined) throw new Error('nobody has asked');
    return last;
  }
}

async function settled(settle: () => void): Promise<void> {
  settle();
  await new Promise((resolve) => setTimeout(resolve));
}

/** The API's answer about a working connection. */
export function connectedStatus(
  changes: Partial<Extract<ConnectionStatus, { kind: 'connected' }>> = {},
): Extract<ConnectionStatus, { kind: 'connected' }> {
  return {
    kind: 'connected',
    spotifyUserId: '31ab',
    spotifyUserEmail: 'someone@example.com',
    connectedAt: '2026-10-24T04:00:12.000Z',
    expiresAt: '2026-11-24T12:50:00.000Z',
    reauthorizeBy: '2027-04-24T04:00:12.000Z',
    autoRefreshed: false,
    degraded: false,
    ...changes,
  };
}

export const disconnectedStatus: ConnectionStatus = { kind: 'disconnected' };

export const deadStatus: ConnectionStatus = { kind: 'reauthorization_required', message: 'Connect again.' };
