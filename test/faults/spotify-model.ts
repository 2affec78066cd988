/** What a token endpoint does with refresh tokens. */
export interface GrantServer {
  /** The user authorizes: a new grant, apart from those before. @returns its refresh token */
  authorize(): string | Promise<string>;
  exchange(token: string): Exchange | Promise<Exchange>;
  /** Whether it would exchange the refresh token, which this does not use. */
  isAlive(token: string): boolean;
}

/** The new refresh token, null where the used one stays, or that the used one is refused. */
export type Exchange = { readonly refreshToken: string | null } | 'invalid_grant';

/**
 * What becomes of a refresh token that was used.
 *
 * - `keeps`: it stays the only one.
 * - `lenient`: a new one is issued, and all live.
 * - `strict`: a new one is issued, and the old one is refused from then on.
 */
export type ModelRules = 'keeps' | 'lenient' | 'strict';

/** A server without reuse detection, as the refresh tokens that are alive. */
export class SpotifyModel implements GrantServer {
  readonly #rules: ModelRules;
  readonly #living = new Set<string>();
  #issued = 0;

  constructor(rules: ModelRules) {
    this.#rules = rules;
  }

  authorize(): string {
    return this.#issue();
  }

  exchange(token: string): Exchange {
    if (!this.#living.has(token)) return 'invalid_grant';
    if (this.#rules === 'keeps') return { refreshToken: null };
    if (this.#rules === 'strict') this.#living.delete(token);
    return { refreshToken: this.#issue() };
  }

  isAlive(token: string): boolean {
    return this.#living.has(token);
  }

  #issue(): string {
    const token = `token-${this.#issued}`;
    this.#issued += 1;
    this.#living.add(token);
    return token;
  }
}
