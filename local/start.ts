import { setInterval } from 'node:timers';
import { parseArgs } from 'node:util';
import type { AlarmChange } from 'cdk-out-local';
import { type Demo, startDemo } from '../demo/demo-server.ts';
import { describeEmptySecrets } from './empty-secrets.ts';
import { type Stack, type StackOptions, type StackPorts, startStack } from './stack.ts';
import { removeState, writeState } from './state-file.ts';

const USAGE = `Usage: npm start [-- --sweep-every <seconds>s] [--empty-secrets]

Runs the synthesized stack on this machine, with a real Postgres, Supabase's REST and Auth interfaces and a stand-in
for Spotify, and a page to try it on. Everything listens on 127.0.0.1.

  --sweep-every 10s   sweeps this often (s, m or h) instead of as the template says
  --empty-secrets     leaves the secrets empty, as a first deployment does, and shows the way from there

Environment:
  DEMO_PORT, API_PORT, SUPABASE_PORT, SPOTIFY_PORT, POSTGRES_PORT, AWS_PORT
                      ports to listen on; a free one serves where it is taken
  DATABASE_URL        uses this PostgreSQL server, as a superuser: postgres://user:password@127.0.0.1:5432/postgres.
                      Roles of a Supabase project are created where they are missing; the database is dropped at the end
  SPOTIFY_TOKEN_URL   points the functions at another token endpoint than the stand-in's
`;

/** Used when the environment names no ports, so that addresses stay the same from start to start. */
const DEFAULT_PORTS = {
  demo: 8788,
  api: 8787,
  supabase: 54321,
  spotify: 54329,
  postgres: 54322,
  aws: 54330,
};

/** As often as CloudWatch does. */
const ALARM_EVALUATION_MILLISECONDS = 60_000;

type Ports = StackPorts & { readonly demo: number };

const startedAt = performance.now();

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printProgress(line: string): void {
  print(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${line}`);
}

/** Reads the command line and the environment. @throws Error with one line that says what to write */
function readOptions():
  | (Pick<StackOptions, 'sweepEverySeconds' | 'spotifyTokenUrl' | 'databaseUrl' | 'emptySecrets'> & {
      readonly ports: Ports;
    })
  | 'help' {
  const { values } = parseArgs({
    options: {
      'sweep-every': { type: 'string' },
      'empty-secrets': { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return 'help';
  const interval = values['sweep-every'];
  const spotifyTokenUrl = process.env['SPOTIFY_TOKEN_URL'];
  const databaseUrl = process.env['DATABASE_URL'];
  return {
    ports: readPorts(),
    emptySecrets: values['empty-secrets'],
    ...(databaseUrl !== undefined && { databaseUrl }),
    ...(interval !== undefined && { sweepEverySeconds: parseInterval(interval) }),
    ...(spotifyTokenUrl !== undefined && { spotifyTokenUrl: parseUrl('SPOTIFY_TOKEN_URL', spotifyTokenUrl) }),
  };
}

function readPorts(): Ports {
  const entries = Object.entries(DEFAULT_PORTS).map(([name, fallback]) => {
    const variable = `${name.toUpperCase()}_PORT`;
    const port = Number(process.env[variable] ?? fallback);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new Error(
        `${variable} must be a port number from 0 (any free one) to 65535, got "${process.env[variable]}"`,
      );
    }
    return [name, port];
  });
  return Object.fromEntries(entries) as Ports;
}

function parseInterval(text: string): number {
  const [, amount, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  const seconds = Number(amount) * ({ s: 1, m: 60, h: 3_600 }[unit ?? ''] ?? 0);
  if (!(seconds > 0))
    throw new Error(`--sweep-every must be a number with s, m or h, such as 10s, got "${text}"`);
  return seconds;
}

function parseUrl(variable: string, text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Error(`${variable} must be an http or https address, got "${text}"`);
  }
  return url.href;
}

/** Signs every sample user in, as the frontend does, and prints what to try. */
async function printReady(stack: Stack, demo: Demo): Promise<void> {
  const { cloud, supabase, spotify, users } = stack;
  print('\nReady.\n');
  print(`  Demo page  ${demo.url}  (open this one: sign in, connect, play with time and faults)`);
  print(`  API        ${cloud.apiUrl}`);
  print(`  Supabase   ${supabase.url}`);
  print(`  Spotify    ${spotify.url}  (stand-in; its switches are under ${spotify.url}/control)`);
  print(`  Database   ${stack.database.ownerUrl}`);
  print('\nUsers, and what their first status call answers:');
  for (const user of users) {
    const token = await signIn(supabase, user);
    print(`\n# ${user.state}: ${user.expectation}`);
    print(
      `curl -s ${cloud.apiUrl}/api/v1/agents/music/status/${user.id} -H 'Authorization: Bearer ${token}'`,
    );
  }
  print('\nThen, in another terminal:');
  print('  npm run sweep                                            sweeps now: afterwards nothing is due');
  print('  npm run operate -- refresh <user-id> --stage local       refreshes one user now');
  print('  npm run operate -- show <user-id> --stage local          shows the state of one connection');
  print('  npm run operate -- doctor --stage local                  checks that everything is in place');
  print('  npm run operate -- --help                                what else operators can do');
  print('\nNot simulated here:');
  for (const line of cloud.template.notSimulated) print(`  - ${line}`);
  print(
    '\nLog lines follow. Events for other teams and alarms that go off are among them. Ctrl-C stops everything.\n',
  );
}

async function signIn(
  { url, publishableKey }: Stack['supabase'],
  user: { email: string; password: string },
): Promise<string> {
  const response = await fetch(`${url}/auth/v1/token?grant_type=password`, {
    method: 'POST',
    headers: { apikey: publishableKey, 'content-type': 'application/json' },
    body: JSON.stringify({ email: user.email, password: user.password }),
  });
  const { access_token } = (await response.json()) as { access_token?: string };
  if (access_token === undefined)
    throw new Error(`${user.email} could not sign in: status ${response.status}`);
  return access_token;
}

/** The line of an alarm that goes off or is over, which on AWS would go to the alarms' topic. */
function describeChange({ alarm, from, to }: AlarmChange): string {
  return JSON.stringify({
    level: to === 'ALARM' ? 'ERROR' : 'INFO',
    message: `${alarm.name} was ${from}, is ${to}`,
    description: alarm.properties.AlarmDescription,
  });
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === 'help') {
    print(USAGE);
    return;
  }
  const stopRequested = new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  await removeState();
  let demo: Demo | undefined;
  const onLog = (source: string, line: string) => {
    print(line);
    demo?.log(source, line);
  };
  const stack = await startStack({ ...options, onProgress: printProgress, onLog });
  const alarmWatch = setInterval(() => {
    const changes = stack.cloud.cloudWatch.evaluateAlarms(new Date());
    for (const change of changes) {
      if ([change.from, change.to].includes('ALARM')) onLog('CloudWatch', describeChange(change));
    }
  }, ALARM_EVALUATION_MILLISECONDS);
  try {
    printProgress('Bundling the demo page');
    demo = await startDemo(stack, options.ports.demo);
    await writeState({
      demoUrl: demo.url,
      apiUrl: stack.cloud.apiUrl,
      supabaseUrl: stack.supabase.url,
      supabasePublishableKey: stack.supabase.publishableKey,
      supabaseSecretKey: stack.supabase.secretKey,
      databaseUrl: stack.database.ownerUrl,
      spotifyUrl: stack.spotify.url,
      awsEndpointUrl: stack.awsEndpointUrl,
      users: stack.users.map(({ id, email, password, state }) => ({ id, email, password, state })),
    });
    await printReady(stack, demo);
    if (options.emptySecrets) print(describeEmptySecrets(stack));
    await stopRequested;
    print('\nStopping...');
  } finally {
    clearInterval(alarmWatch);
    await removeState();
    await demo?.stop();
    await stack.stop();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
