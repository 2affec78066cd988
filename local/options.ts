import { parseArgs } from 'node:util';
import { type FunctionName, functionNames } from './live-sources.ts';
import type { StackOptions, StackPorts } from './stack.ts';

export const USAGE = `Usage: npm start [-- <option>...]
       npm run dev [-- <option>...]

Runs the synthesized stack on this machine, with a real PostgreSQL, Supabase's
REST and Auth interfaces, a stand-in for Spotify, and a demo page. Everything
listens on 127.0.0.1. Ctrl-C stops it. With "npm run dev", changes in lambda/,
frontend/ and the pages of demo/ are live at the next request.

Options:
  --sweep-every 10s   sweeps at this interval (s, m or h), not the template's
  --empty-secrets     leaves the secrets empty, as after a first deployment,
                      and shows the next steps
  --json              prints the functions' raw log lines, including metrics
  --inspect=status    lets a debugger attach to that function, or to "sweeper";
                      "npm run dev" only
  --not-simulated     prints how this machine differs from AWS, and exits
  --help              prints this, and exits

Environment:
  DEMO_PORT, API_PORT, SUPABASE_PORT, SPOTIFY_PORT, POSTGRES_PORT, AWS_PORT
                      ports to listen on; 0 is any free one. The defaults are in
                      docs/local.md; if one is taken, a free one is used
  DATABASE_URL        your own PostgreSQL server, as a superuser:
                      postgres://user:password@127.0.0.1:5432/postgres
                      The database is dropped at the end; Supabase's roles stay
  SPOTIFY_TOKEN_URL   another token endpoint for the functions
  TMPDIR              folder for temporary files
  NO_COLOR=1          no colours

While it runs, in another terminal:
  sh .local/users.sh                            asks the API about every sample user
  npm run sweep                                 sweeps now
  npm run operate -- refresh <id> --stage local refreshes one user's token now
  npm run operate -- explain <id> --stage local explains a user's connection
  npm run operate -- doctor --stage local       checks everything a stage needs
  npm run operate -- --help                     lists the other commands

.local/stack.json has all addresses, keys and sample users, for scripts.
docs/local.md has the rest.
`;

/** Defaults, so that addresses stay the same from start to start. */
const DEFAULT_PORTS = {
  demo: 8788,
  api: 8787,
  supabase: 54321,
  spotify: 54329,
  postgres: 54322,
  aws: 54330,
};

/** Ports to listen on; 0 is any free one. */
export type Ports = Required<StackPorts> & { readonly demo: number };

export interface StartOptions
  extends Pick<StackOptions, 'sweepEverySeconds' | 'spotifyTokenUrl' | 'databaseUrl' | 'emptySecrets'> {
  readonly ports: Ports;
  /** The ports that the environment names, by variable: these must be free. */
  readonly requestedPorts: ReadonlyMap<string, number>;
  /** Whether source changes are applied while everything runs. */
  readonly watch: boolean;
  /** The function that a debugger can attach to. */
  readonly inspect: FunctionName | undefined;
  /** Whether log lines are printed raw. */
  readonly isJson: boolean;
}

/**
 * Reads the command line and the environment.
 *
 * @returns the name of a flag that prints something and exits, or what to start
 * @throws Error with one line that says what to write
 */
export function readOptions(): 'help' | 'not-simulated' | StartOptions {
  const { values } = parseArgs({
    options: {
      'sweep-every': { type: 'string' },
      'empty-secrets': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      watch: { type: 'boolean', default: false },
      inspect: { type: 'string' },
      'not-simulated': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return 'help';
  if (values['not-simulated']) return 'not-simulated';
  const interval = values['sweep-every'];
  const spotifyTokenUrl = process.env['SPOTIFY_TOKEN_URL'];
  const databaseUrl = process.env['DATABASE_URL'];
  return {
    ...readPorts(),
    watch: values.watch,
    inspect: parseInspect(values.inspect, values.watch),
    isJson: values.json,
    emptySecrets: values['empty-secrets'],
    ...(databaseUrl !== undefined && { databaseUrl }),
    ...(interval !== undefined && { sweepEverySeconds: parseInterval(interval) }),
    ...(spotifyTokenUrl !== undefined && { spotifyTokenUrl: parseUrl('SPOTIFY_TOKEN_URL', spotifyTokenUrl) }),
  };
}

function readPorts(): Pick<StartOptions, 'ports' | 'requestedPorts'> {
  const requestedPorts = new Map<string, number>();
  for (const name of Object.keys(DEFAULT_PORTS)) {
    const variable = variableOf(name);
    const text = process.env[variable];
    if (text !== undefined) requestedPorts.set(variable, parsePort(variable, text));
  }
  const isRequested = (port: number) => [...requestedPorts.values()].includes(port);
  const ports = Object.entries(DEFAULT_PORTS).map(([name, fallback]) => [
    name,
    // Another server's default must not take a requested port.
    requestedPorts.get(variableOf(name)) ?? (isRequested(fallback) ? 0 : fallback),
  ]);
  return { ports: Object.fromEntries(ports) as Ports, requestedPorts };
}

function variableOf(server: string): string {
  return `${server.toUpperCase()}_PORT`;
}

function parsePort(variable: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) {
    throw new Error(`${variable} must be a port number from 0 (any free one) to 65535, got "${text}"`);
  }
  return port;
}

function parseInterval(text: string): number {
  const [, amount, unit] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  const seconds = Number(amount) * ({ s: 1, m: 60, h: 3_600 }[unit ?? ''] ?? 0);
  if (!(seconds > 0))
    throw new Error(`--sweep-every must be a number with s, m or h, such as 10s, got "${text}"`);
  return seconds;
}

function parseInspect(name: string | undefined, isWatching: boolean): FunctionName | undefined {
  if (name === undefined) return undefined;
  if (!isWatching) throw new Error('--inspect works with "npm run dev", whose bundles can be debugged');
  const found = functionNames.find((known) => known === name);
  if (found === undefined) throw new Error(`--inspect must be ${functionNames.join(' or ')}, got "${name}"`);
  return found;
}

function parseUrl(variable: string, text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Error(`${variable} must be an http or https address, got "${text}"`);
  }
  return url.href;
}
