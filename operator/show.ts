import { parseUser } from './arguments.ts';
import { asTable, type Command } from './command.ts';
import { Data } from './fields.ts';
import { askAboutUser } from './find-user.ts';

export const show: Command = {
  synopsis: '<user>',
  summary: "shows the state of one user's connection",
  description: `The user is an id, or the e-mail address of the account. "explain" says the same in words, with the history. Never
shows a token, an e-mail address or a Spotify id. For a user who never connected, it only shows the first two fields.`,
  options: {},
  fields: {
    user_id: 'the user',
    state: 'connected, reauthorization_required, disconnected or never_connected',
    expires_at: 'when the access token expires; null: unknown',
    seconds_left: 'seconds until then; negative after it',
    connected_at: 'when the user authorized; null: unknown',
    reauthorize_by: 'when Spotify ends the grant: six months after that',
    refreshed_at: 'when this system last stored a token; null: never',
    refreshes: 'number of refreshes since the user connected',
    attempted_at: 'when a refresh was last attempted; null: never, or without a result',
    failures: 'consecutive failed attempts',
    due_at: 'its position in the queue; null: nothing to refresh',
    leased: 'whether a function is refreshing it at the moment',
    claimable_at: 'when the next attempt is allowed; null: now',
    seen_alive: 'whether this system has ever refreshed with the current refresh token',
    held_since:
      'since when this system has held the grant, because it does not believe that Spotify refuses it; null: not held',
    revocation_reason: "Spotify's reason for the last refusal",
    reauthorization_required_since:
      'since when the user has had to reconnect; null: the user does not have to',
    reauthorization_reason: 'grant_revoked or no_refresh_token',
    verify_at: 'when the system asks Spotify again whether the mark is right',
    tokens_cleared_at: 'when the tokens of the dead grant were removed',
    implausible_expiry: 'whether the last expiry written from outside cannot be true',
    shares_token: 'whether another profile had the same refresh token',
    announced_mark: 'the mark that was announced to other teams',
    announced_days: 'days before the end in the last announcement',
  },
  parse(commandLine) {
    const user = parseUser(commandLine);
    return async (deployment) => asTable(show.fields, await askAboutUser(deployment, 'show', user, Data));
  },
};
