import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { chown, mkdir, mkdtemp, readFile, rm, stat, statfs } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { copyPostgresBinaries, findPostgresBinaries, type PostgresBinaries } from './postgres-binaries.ts';
import { runProcessGroup } from './process-group.ts';

export interface PostgresOptions {
  /** @default a free port, which is also used if this one is taken */
  readonly port?: number;
  /** Directory of the cluster; created if missing, kept by `stop`. @default a temporary folder, deleted by `stop` */
  readonly dataDirectory?: string;
  /** Whether a temporary cluster lies in memory, on Linux with enough of it, and not on disk. @default false */
  readonly inMemory?: boolean;
  /** Server settings, such as `{ shared_buffers: '512MB' }`. @default {} */
  readonly settings?: Readonly<Record<string, string>>;
  /** Receives one line per step. @default nothing is reported */
  readonly onProgress?: (line: string) => void;
  /** Cancels the start while a cluster is being created. */
  readonly signal?: AbortSignal;
}

/** A running server. */
export interface Postgres {
  /** Connects as the superuser `supabase_admin` to the database `postgres`. */
  readonly url: string;
  /**
   * The connection URL of a database, for one of the login roles of roles.sql.
   *
   * @param asRole the role to switch to at once @default - the login role itself
   */
  urlOf(database: string, role: string, asRole?: string): string;
  /** Creates an empty database, owned by the role `postgres` as on Supabase. */
  createDatabase(name: string): Promise<void>;
  /** Ends every connection and the server; a second call waits for the first. */
  stop(): Promise<void>;
}

/** For tests: faster, but a crash of the machine may lose data. */
export const settingsWithoutDurability = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/** The account of the server process, only if this process is root. */
type Account = { readonly uid: number; readonly gid: number } | undefined;

/**
 * Starts a PostgreSQL 17 server on 127.0.0.1 with the roles of a Supabase project.
 *
 * PostgreSQL refuses to run as root; then it runs as `nobody`, so that no account has to be created.
 *
 * @throws Error with the server's own message if it does not start.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const { settings = {}, onProgress = () => {}, signal } = options;
  const account = await findServerAccount();
  const temporaryDirectories: string[] = [];
  const makeTemporaryDirectory = async (parent: string) => {
    // The name lets a later start find its owner if it is left behind.
    const directory = await mkdtemp(path.join(parent, `spotify-auth-postgres-${process.pid}-`));
    temporaryDirectories.push(directory);
    await giveTo(account, directory);
    return directory;
  };

  try {
    const binaries = await findReachableBinaries(account, makeTemporaryDirectory);
    const dataDirectory =
      options.dataDirectory ??
      path.join(
        await makeTemporaryDirectory(options.inMemory ? await findFolderInMemory() : tmpdir()),
        'data',
      );
    const isNew = !(await exists(path.join(dataDirectory, 'PG_VERSION')));
    if (isNew) {
      onProgress('Creating a PostgreSQL cluster');
      await initializeCluster(binaries, dataDirectory, account, signal);
    }
    signal?.throwIfAborted();
    onProgress('Starting PostgreSQL');
    const port = await findFreePort(options.port ?? 0);
    const server = await startServer(binaries, dataDirectory, port, settings, account);
    const guard = startGuard(server, temporaryDirectories);
    const stopped = once(guard, 'exit');
    const stop = async () => {
      guard.stdin.end();
      await stopped;
    };
    const postgres = postgresAt(port, stop);
    if (isNew) await runSql(postgres.url, await readFile(new URL('roles.sql', import.meta.url), 'utf8'));
    return postgres;
  } catch (error) {
    await removeAll(temporaryDirectories);
    throw error;
  }
}

/** A server that {@link startPostgres} has started, in this process or another one. */
export function postgresAt(port: number, stop: () => Promise<void>): Postgres {
  const urlOf = (database: string, role: string, asRole?: string) =>
    `postgres://${role}@127.0.0.1:${port}/${database}${asRole ? `?options=${encodeURIComponent(`-c role=${asRole}`)}` : ''}`;
  const url = urlOf('postgres', 'supabase_admin');
  return {
    url,
    urlOf,
    createDatabase: (name) => runSql(url, `create database ${pg.escapeIdentifier(name)} owner postgres`),
    stop,
  };
}

/** Runs SQL text with one or more statements on its own connection. */
export async function runSql(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function findServerAccount(): Promise<Account> {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = async (flag: string) => Number((await promisify(execFile)('id', [flag, 'nobody'])).stdout);
  return { uid: await idOf('-u'), gid: await idOf('-g') };
}

async function giveTo(account: Account, directory: string): Promise<void> {
  if (account) await chown(directory, account.uid, account.gid);
}

/** If a project is checked out in root's home, only root can read it: then `nobody` gets a copy. */
async function findReachableBinaries(
  account: Account,
  makeTemporaryDirectory: (parent: string) => Promise<string>,
): Promise<PostgresBinaries> {
  const binaries = await findPostgresBinaries();
  try {
    await promisify(execFile)(binaries.postgres, ['--version'], { ...account, cwd: '/' });
    return binaries;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    return copyPostgresBinaries(binaries, path.join(await makeTemporaryDirectory(tmpdir()), 'postgresql'));
  }
}

/** Where a cluster `inMemory` lies: Linux's file system in memory, which in a container is often too small, or on disk. */
export async function findFolderInMemory(): Promise<string> {
  const folder = '/dev/shm';
  const room = await statfs(folder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return room >= 4 * 2 ** 30 ? folder : tmpdir();
}

async function removeAll(directories: readonly string[]): Promise<void> {
  await Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true })));
}

async function initializeCluster(
  binaries: PostgresBinaries,
  dataDirectory: string,
  account: Account,
  signal: AbortSignal | undefined,
): Promise<void> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  await giveTo(account, dataDirectory);
  const flags = ['--username=supabase_admin', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync'];
  await runProcessGroup('initdb', binaries.initdb, [`--pgdata=${dataDirectory}`, ...flags], {
    ...account,
    cwd: dataDirectory,
    signal,
  });
}

async function startServer(
  binaries: PostgresBinaries,
  dataDirectory: string,
  port: number,
  settings: Readonly<Record<string, string>>,
  account: Account,
): Promise<ChildProcess> {
  const allSettings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    timezone: 'UTC',
    ...settings,
  };
  const flags = Object.entries(allSettings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(binaries.postgres, ['-D', dataDirectory, ...flags], {
    ...account,
    cwd: dataDirectory,
    stdio: ['ignore', 'ignore', 'pipe'],
    // In its own process group, so that Ctrl-C does not stop it before its users have stopped.
    detached: true,
  });
  // Next to the data, where a superuser reads it with pg_read_file('server.log').
  server.stderr.pipe(createWriteStream(path.join(dataDirectory, 'server.log')));
  let log = '';
  const ready = Promise.withResolvers<void>();
  const readUntilReady = (text: string) => {
    log += text;
    if (log.includes('database system is ready to accept connections')) ready.resolve();
  };
  server.once('error', ready.reject);
  server.once('exit', () => ready.reject(new Error(`PostgreSQL did not start:\n${log}`)));
  server.stderr.setEncoding('utf8').on('data', readUntilReady);
  await ready.promise;
  server.stderr.off('data', readUntilReady);
  return server;
}

/**
 * Starts a shell that waits for the end of its input, which comes when `stop` is called, but also when this process
 * ends in any other way. It then shuts the server down and deletes the folders. (SIGINT is PostgreSQL's fast shutdown:
 * it ends the sessions without waiting.)
 */
function startGuard(server: ChildProcess, temporaryDirectories: readonly string[]) {
  const script = `
    cat
    server="$1"
    shift
    kill -INT "$server"
    for attempt in $(seq 200); do kill -0 "$server" || break; sleep 0.05; done
    rm -rf "$@"`;
  return spawn('sh', ['-c', script, 'guard', String(server.pid), ...temporaryDirectories], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
}

/** Returns `preferredPort` if it is free, otherwise a port that the system chooses. */
async function findFreePort(preferredPort: number): Promise<number> {
  const probe = net.createServer();
  const listen = async (port: number) => {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
  };
  await listen(preferredPort).catch(() => listen(0));
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
