import { parseUser } from './arguments.ts';
import { asTable, type Command } from './command.ts';
import { Data } from './fields.ts';
import { askAboutUser } from './find-user.ts';

export const show: Command = {
  synopsis: '<user>',
  summary: "shows the state of one user's connection",
  description: `The user is an id, or the e-mail of the account. "explain" says the same in words, and how it came to be so. Never
shows a token, an e-mail or a Spotify id. Of a user who never connected it shows the first two fields.`,
  options: {},
  fields: {
    user_id: 'the user',
    state: 'connected, reauthorization_required, disconnected or never_connected',
    expires_at: 'when the access token runs out; null: unknown',
    seconds_left: 'the same in seconds from now, negative once it has',
    connected_at: 'when the user authorized; null: unknown',
    reauthorize_by: 'when Spotify ends the grant: six months after that',
    refreshed_at: 'when this system last stored a token; null: never',
    refreshes: 'how often, since the user connected',
    attempted_at: 'when a refresh was last tried; null: never, or nothing came of it',
    failures: 'attempts that failed in a row',
    due_at: 'its place in the queue; null: nothing is to be refreshed',
    leased: 'whether somebody is refreshing it at this moment',
    claimable_at: 'when it may be tried next; null: now',
    seen_alive: 'whether this system has ever refreshed with the present refresh token',
    held_since: 'since when Spotify refuses the grant without being believed; null: it does not',
    revocation_reason: 'what Spotify said when it refused the grant last',
    reauthorization_required_since: 'since when the user has to reconnect; null: the user has not to',
    reauthorization_reason: 'grant_revoked or no_refresh_token',
    verify_at: 'when Spotify is asked again whether the mark is right',
    tokens_cleared_at: 'when the tokens of the dead grant were removed',
    implausible_expiry: 'whether the last expiry written from outside cannot be true',
    shares_token: 'whether another profile had the same refresh token',
    announced_mark: 'the mark that other teams were told of',
    announced_days: 'how many days before its end they were told last',
  },
  parse(commandLine) {
    const user = parseUser(commandLine);
    return async (deployment) => asTable(show.fields, await askAboutUser(deployment, 'show', user, Data));
  },
};
