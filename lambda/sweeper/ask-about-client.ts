import type { ClientCheck } from '../connection/token-endpoint.ts';

const TIMEOUT_MILLISECONDS = 5_000;

/** Spotify's answer about a client id and secret. */
export type ClientVerdict = {
  /** `unknown`: Spotify could not be asked at the moment. */
  readonly answer: 'accepted' | 'refused' | 'unknown';
  readonly detail: string;
};

/** Asks Spotify about the client, in words for operators. Rejects with a SecretError when the credentials cannot be read. */
export async function askAboutClient(clientCheck: ClientCheck): Promise<ClientVerdict> {
  const answer = await clientCheck.checkClient(TIMEOUT_MILLISECONDS);
  switch (answer.kind) {
    case 'accepted':
      return { answer: 'accepted', detail: 'Spotify accepts the client id and secret' };
    case 'throttled':
      return { answer: 'unknown', detail: `Spotify asks to wait for ${answer.retryAfterSeconds} s` };
    case 'unavailable':
      return { answer: 'unknown', detail: `Spotify gave no usable answer: ${answer.reason}` };
    default:
      return { answer: 'refused', detail: `Spotify refuses the client id or secret (${answer.reason})` };
  }
}
