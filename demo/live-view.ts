import { setInterval } from 'node:timers';
import type pg from 'pg';
import * as v from 'valibot';
import type { Call } from '../stand-ins/spotify/accounts-service.ts';
import type { LogLine, Snapshot, ViewedCall, ViewedConnection, ViewedSweep } from './live-view-events.ts';
import { readLogLine } from './log-line.ts';

const POLL_INTERVAL_MILLISECONDS = 500;
const REMEMBERED_LOG_LINES = 200;
const REMEMBERED_SWEEPS = 10;
const SHOWN_CALLS = 20;

/** The sweeper's line "sweep finished". */
const SweepFinished = v.object({
  message: v.literal('sweep finished'),
  timestamp: v.string(),
  status: v.string(),
  refreshed: v.number(),
  failed: v.number(),
  revoked: v.number(),
  remaining: v.number(),
  duration_ms: v.number(),
});

/** Receives the two kinds of server-sent events. */
export interface Watcher {
  onSnapshot(snapshot: Snapshot): void;
  onLogLine(line: LogLine): void;
}

export interface LiveViewSources {
  /** Reads as the owner of Bondhu's tables, past Supabase, so that the view stays when that is switched off. */
  readonly pool: pg.Pool;
  /** Spotify's token requests, oldest first. */
  readonly calls: () => readonly Call[];
  /** A user's name, by id. */
  readonly nameOf: (userId: string) => string;
  /** What the panel has done to the world. */
  readonly conditions: () => Pick<Snapshot, 'spotify' | 'database' | 'isSweeping'>;
}

/** Tells watchers what the backend does. Looks into the database only while somebody watches. */
export class LiveView {
  readonly #sources: LiveViewSources;
  readonly #watchers = new Set<Watcher>();
  readonly #logLines: LogLine[] = [];
  readonly #sweeps: ViewedSweep[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isReading = false;
  #lastSent = '';

  constructor(sources: LiveViewSources) {
    this.#sources = sources;
  }

  /** Takes a line of a function's log, or of the API's. */
  log(source: string, line: string): void {
    const sweep = readSweep(line);
    if (sweep) this.#sweeps.unshift(sweep);
    if (this.#sweeps.length > REMEMBERED_SWEEPS) this.#sweeps.pop();
    const logLine = readLogLine(source, line, this.#sources.nameOf);
    if (!logLine) return;
    this.#logLines.push(logLine);
    if (this.#logLines.length > REMEMBERED_LOG_LINES) this.#logLines.shift();
    for (const watcher of this.#watchers) watcher.onLogLine(logLine);
  }

  /** Sends the remembered log lines and the present state, then every change. @returns ends that */
  watch(watcher: Watcher): () => void {
    for (const line of this.#logLines) watcher.onLogLine(line);
    this.#watchers.add(watcher);
    this.#lastSent = '';
    void this.#sendIfChanged();
    this.#timer ??= setInterval(() => void this.#sendIfChanged(), POLL_INTERVAL_MILLISECONDS);
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.stop();
    };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#watchers.clear();
  }

  async #sendIfChanged(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      const snapshot = await this.#read();
      const text = JSON.stringify(snapshot);
      if (text === this.#lastSent) return;
      this.#lastSent = text;
      for (const watcher of this.#watchers) watcher.onSnapshot(snapshot);
    } catch {
      // The database is stopping, or a restart of it is under way: the next look tells.
    } finally {
      this.#isReading = false;
    }
  }

  async #read(): Promise<Snapshot> {
    const [connections, service] = await Promise.all([
      this.#sources.pool.query<ConnectionRow>(CONNECTIONS),
      this.#sources.pool.query<ServiceRow>(SERVICE),
    ]);
    const emails = new Map(connections.rows.map(({ user_id, email }) => [user_id, email]));
    const [{ not_before = null, breaker_opened_at = null } = {}] = service.rows;
    return {
      ...this.#sources.conditions(),
      notBefore: toIso(not_before),
      breakerOpenedAt: toIso(breaker_opened_at),
      connections: connections.rows.map(viewConnection),
      sweeps: [...this.#sweeps],
      calls: this.#sources
        .calls()
        .slice(-SHOWN_CALLS)
        .reverse()
        .map((call) => viewCall(call, emails)),
    };
  }
}

interface ConnectionRow {
  readonly user_id: string;
  readonly email: string;
  readonly is_known: boolean;
  readonly expires_at: Date | null;
  readonly due_at: Date | null;
  readonly held_since: Date | null;
  readonly reauthorization_required_since: Date | null;
  readonly is_leased: boolean;
  readonly failures: number;
}

const CONNECTIONS = `
  select p.id as user_id, u.email, c.user_id is not null as is_known, c.expires_at, c.due_at, c.held_since,
    c.reauthorization_required_since, coalesce(c.lease_id is not null and c.claimable_at > now(), false) as is_leased,
    coalesce(c.failures, 0) as failures
  from public.profiles p
    join auth.users u on u.id = p.id
    left join spotify_auth.connections c on c.user_id = p.id
  order by c.due_at is null, c.expires_at, u.email
  limit 50`;

interface ServiceRow {
  readonly not_before: Date | null;
  readonly breaker_opened_at: Date | null;
}

const SERVICE = `
  select case when not_before > now() then not_before end as not_before, breaker_opened_at
  from spotify_auth.shared_state`;

function viewConnection(row: ConnectionRow): ViewedConnection {
  return {
    userId: row.user_id,
    email: row.email,
    state: stateOf(row),
    expiresAt: toIso(row.expires_at),
    isLeased: row.is_leased,
    failures: row.failures,
  };
}

function stateOf(row: ConnectionRow): ViewedConnection['state'] {
  if (!row.is_known) return 'never-connected';
  if (row.reauthorization_required_since !== null) return 'reauthorization-required';
  if (row.held_since !== null) return 'held';
  return row.due_at === null ? 'disconnected' : 'connected';
}

function viewCall(call: Call, emails: ReadonlyMap<string, string>): ViewedCall {
  return {
    at: call.at,
    email: emails.get(call.userId ?? '') ?? null,
    outcome: call.outcome,
    status: call.status ?? null,
    durationMillis: call.durationMillis,
  };
}

function readSweep(line: string): ViewedSweep | undefined {
  if (!line.includes('sweep finished')) return undefined;
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), SweepFinished), line);
  if (!parsed.success) return undefined;
  const { timestamp, status, refreshed, failed, revoked, remaining, duration_ms } = parsed.output;
  return { at: timestamp, status, refreshed, failed, revoked, remaining, durationMillis: duration_ms };
}

function toIso(time: Date | null): string | null {
  return time?.toISOString() ?? null;
}
