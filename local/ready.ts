import { styleText } from 'node:util';
import type { Demo } from '../demo/demo-server.ts';
import type { SampleUser } from './seed.ts';
import type { Stack } from './stack.ts';

/** Longer than a stack usually runs. Supabase's own tokens live for an hour. */
const TOKEN_LIFE_SECONDS = 7 * 86_400;

/** A user with a token that is about to expire, so that the printed commands have something to show. */
const SHOWN_STATE = 'expiring';

/**
 * The text printed once everything runs: at most 25 rows of 80 columns, with the demo page first and last.
 *
 * @param isInStateFile whether commands and scripts reach this stack through `.local/`
 */
export function describeReady(stack: Stack, demo: Demo, isInStateFile: boolean): string {
  const demoPage = `  ${bold(`Demo page  ${demo.url}`)}`;
  return [
    '',
    'Ready.',
    '',
    `${demoPage}   open this one`,
    '',
    `  Dashboard  ${demo.dashboardUrl}   what CloudWatch will show`,
    `  API        ${stack.cloud.apiUrl}`,
    `  Supabase   ${stack.supabase.url}   REST and Auth`,
    `  Spotify    ${stack.spotify.url}   a stand-in`,
    `  AWS        ${stack.awsEndpointUrl}   for "npm run operate"`,
    `  Database   ${withoutSecrets(stack.database.ownerUrl)}`,
    '',
    ...(isInStateFile ? commandsFor(stack) : HINT_AT_THE_OTHER),
    '',
    'More: "npm start -- --help". Below, a line per event.',
    'Ctrl-C stops everything.',
    '',
    demoPage,
    '',
  ].join('\n');
}

function commandsFor(stack: Stack): readonly string[] {
  const user = stack.users.find(({ state }) => state === SHOWN_STATE) as SampleUser;
  return [
    'In another terminal, in this folder:',
    '',
    ...curlFor(stack, user),
    `npm run operate -- explain ${user.email} --stage local`,
    `npm run operate -- refresh ${user.email} --stage local`,
  ];
}

const HINT_AT_THE_OTHER = [
  'Another "npm start" runs in this folder: .local/, "npm run operate" and',
  '"npm run sweep" use that one.',
];

function curlFor({ cloud }: Stack, { id, state }: SampleUser): readonly string[] {
  return [`curl -sS -H @.local/${authorizationFileOf(state)} \\`, `  ${cloud.apiUrl}/music/status/${id}`];
}

/**
 * The files next to `stack.json`, by path: `users.sh`, which asks the API about every sample user, and the headers that
 * it sends.
 */
export async function filesFor(stack: Stack): Promise<Readonly<Record<string, string>>> {
  const exp = Math.floor(Date.now() / 1_000) + TOKEN_LIFE_SECONDS;
  const headers = stack.users.map(async ({ id, email, state }) => {
    const token = await stack.supabase.signUserToken({ sub: id, email, exp });
    return [authorizationFileOf(state), `Authorization: Bearer ${token}\n`] as const;
  });
  const requests = stack.users.flatMap((user) => [
    '',
    `# ${user.state}: ${user.expectation}`,
    ...curlFor(stack, user),
  ]);
  return {
    ...Object.fromEntries(await Promise.all(headers)),
    'users.sh': [
      "# Each sample user, and what the first status call answers. Run it in the project's folder.",
      ...requests,
      '',
    ].join('\n'),
  };
}

function authorizationFileOf(state: string): string {
  return `authorization/${state}`;
}

/** Without the password, and without the role that connections switch to. */
function withoutSecrets(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = '';
  url.search = '';
  return url.href;
}

function bold(text: string): string {
  return styleText('bold', text, { stream: process.stdout });
}
