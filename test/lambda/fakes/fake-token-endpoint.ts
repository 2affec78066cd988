import type { Clock } from '../../../lambda/connection/clock.ts';
import type { TokenAnswer, TokenEndpoint } from '../../../lambda/connection/token-endpoint.ts';

/** One call to the token endpoint, as it saw it. */
export type TokenCall = {
  readonly refreshToken: string;
  readonly startedAt: number;
  readonly timeoutMilliseconds: number;
};

/** A token endpoint that answers what the test says, after as long as the test says; slower than the timeout: unavailable. */
export class FakeTokenEndpoint implements TokenEndpoint {
  readonly calls: TokenCall[] = [];
  mostUnderWay = 0;
  underWay = 0;
  readonly #clock: Clock;
  readonly #answer: (refreshToken: string) => TokenAnswer;
  readonly #latencyMilliseconds: () => number;

  /** @param answer may throw, as the real one does when the client's credentials cannot be read */
  constructor(
    clock: Clock,
    answer: (refreshToken: string) => TokenAnswer,
    latencyMilliseconds: () => number = () => 100,
  ) {
    this.#clock = clock;
    this.#answer = answer;
    this.#latencyMilliseconds = latencyMilliseconds;
  }

  async refresh(refreshToken: string, timeoutMilliseconds: number): Promise<TokenAnswer> {
    this.calls.push({ refreshToken, startedAt: this.#clock.monotonicMilliseconds(), timeoutMilliseconds });
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    const latency = this.#latencyMilliseconds();
    await this.#clock.sleep(Math.min(latency, timeoutMilliseconds));
    this.underWay -= 1;
    return latency > timeoutMilliseconds
      ? { kind: 'unavailable', reason: 'no answer in time' }
      : this.#answer(refreshToken);
  }
}

/** A successful answer whose tokens no other answer has. */
export function refreshedAnswer(options: { rotated?: boolean; expiresInSeconds?: number } = {}): TokenAnswer {
  tokensIssued += 1;
  return {
    kind: 'refreshed',
    accessToken: `access-token-${tokensIssued}`,
    ...(options.rotated === true && { refreshToken: `refresh-token-${tokensIssued}` }),
    expiresInSeconds: options.expiresInSeconds ?? 3_600,
  };
}

let tokensIssued = 0;

/** One answer of each kind. */
export const answersOfEachKind: readonly TokenAnswer[] = [
  refreshedAnswer(),
  refreshedAnswer({ rotated: true }),
  { kind: 'refresh_token_only', refreshToken: 'all-that-is-usable', reason: 'unusable expires_in' },
  { kind: 'revoked', reason: 'revoked' },
  { kind: 'throttled', retryAfterSeconds: 17 },
  { kind: 'unavailable', reason: 'status 503' },
  { kind: 'client_rejected', reason: 'invalid_client' },
  { kind: 'rejected', reason: 'invalid_request' },
];
