import type { Call } from '../../stand-ins/spotify/accounts-service.ts';
import type { GrantedTokens, IssuedRefreshToken, NewGrant } from '../../stand-ins/spotify/grants.ts';

/** What tests want of the token endpoint that the functions call: the stand-in for Spotify, or one in its place. */
export interface TokenEndpoint {
  readonly tokenUrl: string;
  /** Every token request that was answered, in that order. */
  readonly calls: readonly Call[];
  /** Token requests that have arrived and are not among the calls yet. */
  readonly underWay: number;
  forgetCalls(): void;
  /** Resolves when the next token request has arrived, before it is answered. @returns whose grant it is about */
  nextTokenRequest(): Promise<string | undefined>;
  configure(changes: Partial<TokenEndpointSettings>): void;
  createGrant(grant: NewGrant): GrantedTokens | Promise<GrantedTokens>;
  /** Tells about a refresh token without using it. @returns undefined if it was never issued */
  inspectRefreshToken(refreshToken: string): IssuedRefreshToken | undefined;
  stop(): Promise<void>;
}

export interface TokenEndpointSettings {
  /** How long every token request takes. @default 0 */
  readonly latencyMillis: number;
  /** Whether each refresh replaces the refresh token. */
  readonly rotatesRefreshTokens: boolean;
}
