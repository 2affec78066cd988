import { hash, randomUUID } from 'node:crypto';

export const accessTokenLifeSeconds = 3600;

/** A user's permission from Spotify's consent page. */
export interface Grant {
  readonly id: string;
  /** Bondhu's id of the user. */
  readonly userId: string;
  readonly spotifyUserId: string;
  readonly spotifyUserEmail: string | undefined;
  readonly authorizedAtMillis: number;
  /** How much time has passed for this grant alone, beyond the service's clock. */
  clockOffsetMillis: number;
  isRevoked: boolean;
  /** Number of the valid refresh token: each rotation starts a new generation. */
  generation: number;
}

export interface NewGrant {
  readonly userId: string;
  /** @default derived from the user's id */
  readonly spotifyUserId?: string;
  /** @default - the account has none */
  readonly spotifyUserEmail?: string;
  /** ISO 8601. @default now */
  readonly authorizedAt?: string;
}

export interface GrantedTokens {
  readonly grantId: string;
  readonly spotifyUserId: string;
  readonly refreshToken: string;
  readonly accessToken: string;
}

/** The facts about a refresh token. */
export interface IssuedRefreshToken {
  readonly grantId: string;
  /** How many tokens came before it in its grant. */
  readonly generation: number;
  /** Whether Spotify would exchange it now. */
  readonly isAlive: boolean;
}

export type Exchange =
  | {
      readonly outcome: 'refreshed';
      readonly grant: Grant;
      readonly accessToken: string;
      /** Only present if it was rotated. */
      readonly refreshToken?: string;
    }
  | { readonly outcome: 'invalid_grant'; readonly grant?: Grant; readonly description: string };

export interface ExchangePolicy {
  readonly rotatesRefreshTokens: boolean;
  /** Whether reusing a rotated refresh token revokes its grant. */
  readonly detectsReuse: boolean;
}

/**
 * The grants of all users and the tokens issued for them. Tokens contain their data, signed, so a million
 * grants need no memory for their tokens.
 */
export class Grants {
  readonly #now: () => number;
  readonly #key = randomUUID();
  readonly #grants = new Map<string, Grant>();
  #accessTokensIssued = 0;
  #accessTokensExpired = 0;

  /** @param now the service's clock, in milliseconds since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Does the work of the consent page and the first token request. */
  create({
    userId,
    spotifyUserId = `spotify-${userId}`,
    spotifyUserEmail,
    authorizedAt,
  }: NewGrant): GrantedTokens {
    if (typeof userId !== 'string') throw new TypeError('userId must be a string');
    const authorizedAtMillis = authorizedAt === undefined ? this.#now() : Date.parse(authorizedAt);
    if (Number.isNaN(authorizedAtMillis)) throw new TypeError('authorizedAt must be an ISO 8601 time');
    const id = String(this.#grants.size + 1);
    const grant = {
      id,
      userId,
      spotifyUserId,
      spotifyUserEmail,
      authorizedAtMillis,
      clockOffsetMillis: 0,
      isRevoked: false,
      generation: 0,
    };
    this.#grants.set(id, grant);
    return {
      grantId: id,
      spotifyUserId,
      refreshToken: this.#issueRefreshToken(grant),
      accessToken: this.#issueAccessToken(grant),
    };
  }

  exchange(refreshToken: string, { rotatesRefreshTokens, detectsReuse }: ExchangePolicy): Exchange {
    const [id = '', generation] = this.#open('AQ', refreshToken) ?? [];
    const grant = this.#grants.get(id);
    if (!grant) return { outcome: 'invalid_grant', description: 'Invalid refresh token' };
    if (grant.isRevoked) return { outcome: 'invalid_grant', grant, description: 'Refresh token revoked' };
    if (this.#isPastSixMonths(grant))
      return { outcome: 'invalid_grant', grant, description: 'Refresh token expired' };
    if (Number(generation) !== grant.generation) {
      grant.isRevoked = detectsReuse;
      return { outcome: 'invalid_grant', grant, description: 'Invalid refresh token' };
    }
    const accessToken = this.#issueAccessToken(grant);
    if (!rotatesRefreshTokens) return { outcome: 'refreshed', grant, accessToken };
    grant.generation += 1;
    return { outcome: 'refreshed', grant, accessToken, refreshToken: this.#issueRefreshToken(grant) };
  }

  /** Returns the user of a refresh token, valid or not. @returns undefined if it was never issued */
  findByRefreshToken(refreshToken: string): Grant | undefined {
    const [id = ''] = this.#open('AQ', refreshToken) ?? [];
    return this.#grants.get(id);
  }

  /** Describes a refresh token without using it. @returns undefined if it was never issued */
  inspectRefreshToken(refreshToken: string): IssuedRefreshToken | undefined {
    const [grantId = '', generation] = this.#open('AQ', refreshToken) ?? [];
    const grant = this.#grants.get(grantId);
    if (!grant) return undefined;
    const isCurrent = Number(generation) === grant.generation;
    const isAlive = isCurrent && !grant.isRevoked && !this.#isPastSixMonths(grant);
    return { grantId, generation: Number(generation), isAlive };
  }

  /** Revokes every grant of a user, as the user can on Spotify's account page. As there, access tokens stay valid. */
  revoke(userId: string): void {
    for (const grant of this.#grants.values()) if (grant.userId === userId) grant.isRevoked = true;
  }

  /** Lets time pass for a user's grants and their tokens. */
  letTimePass(userId: string, seconds: number): void {
    for (const grant of this.#grants.values())
      if (grant.userId === userId) grant.clockOffsetMillis += seconds * 1000;
  }

  /** Ends every access token issued so far. */
  expireAccessTokens(): void {
    this.#accessTokensExpired = this.#accessTokensIssued;
  }

  /** Returns the user of an access token. @returns undefined if it is not, or no longer, valid */
  findByAccessToken(accessToken: string): Grant | undefined {
    const [id = '', serial, expiresAtMillis] = this.#open('BQ', accessToken) ?? [];
    const grant = this.#grants.get(id);
    if (!grant || Number(serial) <= this.#accessTokensExpired) return undefined;
    return Number(expiresAtMillis) > this.#nowFor(grant) ? grant : undefined;
  }

  /** Since 2026, refreshing does not extend a grant: it ends six calendar months after the authorization. */
  #isPastSixMonths(grant: Grant): boolean {
    const end = new Date(grant.authorizedAtMillis);
    end.setUTCMonth(end.getUTCMonth() + 6);
    return this.#nowFor(grant) >= end.getTime();
  }

  #nowFor({ clockOffsetMillis }: Grant): number {
    return this.#now() + clockOffsetMillis;
  }

  #issueRefreshToken({ id, generation }: Grant): string {
    return this.#seal('AQ', [id, generation]);
  }

  #issueAccessToken(grant: Grant): string {
    this.#accessTokensIssued += 1;
    const expiresAtMillis = this.#nowFor(grant) + accessTokenLifeSeconds * 1000;
    return this.#seal('BQ', [grant.id, this.#accessTokensIssued, expiresAtMillis]);
  }

  #seal(kind: string, parts: readonly (string | number)[]): string {
    const content = kind + parts.join('-');
    return `${content}.${this.#sign(content)}`;
  }

  #open(kind: string, token: string): string[] | undefined {
    const [content = '', signature] = token.split('.');
    if (signature !== this.#sign(content)) return undefined;
    return content.startsWith(kind) ? content.slice(kind.length).split('-') : undefined;
  }

  #sign(content: string): string {
    return hash('sha512', this.#key + content, 'base64url');
  }
}
