/**
 * What a server does with a refresh token that was used.
 *
 * - `keeps`: it stays the only one.
 * - `lenient`: a new one is issued, and all live.
 * - `strict`: a new one is issued, and the old one is refused from then on.
 * - `detects reuse`: like strict, and using an old one ends the grant.
 */
export type ServerRules = 'keeps' | 'lenient' | 'strict' | 'detects reuse';

/** One user's grants at Spotify, as refresh tokens that are alive. */
export class SpotifyModel {
  readonly #rules: ServerRules;
  /** Tokens ever issued, with their grants. */
  readonly #issued = new Map<string, number>();
  readonly #living = new Set<string>();
  #grants = 0;

  constructor(rules: ServerRules) {
    this.#rules = rules;
  }

  /** The user authorizes: a new grant, apart from those before. */
  authorize(): string {
    this.#grants += 1;
    return this.#issue(this.#grants);
  }

  /** @returns the new refresh token, null where the used one stays, or that the token is refused */
  exchange(token: string): { readonly refreshToken: string | null } | 'invalid_grant' {
    const grant = this.#issued.get(token);
    if (grant === undefined || !this.#living.has(token)) {
      if (this.#rules === 'detects reuse') this.#end(grant);
      return 'invalid_grant';
    }
    if (this.#rules === 'keeps') return { refreshToken: null };
    if (this.#rules !== 'lenient') this.#living.delete(token);
    return { refreshToken: this.#issue(grant) };
  }

  isAlive(token: string): boolean {
    return this.#living.has(token);
  }

  #issue(grant: number): string {
    const token = `grant-${grant}-token-${this.#issued.size}`;
    this.#issued.set(token, grant);
    this.#living.add(token);
    return token;
  }

  #end(grant: number | undefined): void {
    for (const [token, of] of this.#issued) if (of === grant) this.#living.delete(token);
  }
}
