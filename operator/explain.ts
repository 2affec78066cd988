import * as v from 'valibot';
import { parseUser } from './arguments.ts';
import type { Command } from './command.ts';
import { type Explanation, explain as explainConnection, toWords } from './explanation.ts';
import { askAboutUser } from './find-user.ts';

const Time = v.optional(v.nullable(v.pipe(v.string(), v.isoTimestamp())));

const Explained = v.object({
  user_id: v.string(),
  state: v.picklist(['connected', 'reauthorization_required', 'disconnected', 'never_connected']),
  expires_at: Time,
  seconds_left: v.optional(v.nullable(v.number())),
  connected_at: Time,
  reauthorize_by: Time,
  refreshed_at: Time,
  refreshes: v.optional(v.number()),
  failures: v.optional(v.number()),
  held_since: Time,
  revocation_reason: v.optional(v.nullable(v.string())),
  reauthorization_required_since: Time,
  reauthorization_reason: v.optional(v.nullable(v.string())),
  tokens_cleared_at: Time,
  changes: v.array(v.object({ changed_at: v.string(), change: v.string(), reason: v.nullable(v.string()) })),
});

export const explain: Command = {
  synopsis: '<user>',
  summary: 'explains why a user is connected or has to reconnect',
  description: `The user is an id, or the e-mail address of the account. Answers the question "why am I asked to reconnect?": the
state of the connection, what to do, and its history, newest first. The history goes back 90 days.`,
  options: {},
  fields: {
    user_id: 'the user',
    state: 'connected, reauthorization_required, disconnected or never_connected',
    summary: 'the state of the connection, and why',
    advice: 'what to do',
    history: 'list of {at, change, reason, text}, newest first',
  },
  parse(commandLine) {
    const user = parseUser(commandLine);
    return async (deployment) => {
      const connection = await askAboutUser(deployment, 'explain', user, Explained);
      const explanation = explainConnection(connection, deployment.stage, new Date());
      return { text: toText(explanation), data: explanation, exitCode: 0 };
    };
  },
};

function toText({ user_id: userId, summary, advice, history }: Explanation): string {
  const lines = history.map(({ at, text }) => `  ${toWords(at)}  ${text}`);
  return [
    `User ${userId}`,
    summary,
    `What to do: ${advice}`,
    ...(lines.length > 0 ? ['', 'History, newest first:', ...lines] : []),
  ].join('\n');
}
