import { setInterval } from 'node:timers';
import type { Timetable } from 'cdk-out-local';
import type pg from 'pg';
import * as v from 'valibot';
import type { Call } from '../stand-ins/spotify/accounts-service.ts';
import type {
  EventOfUser,
  LogLine,
  Snapshot,
  ViewedConnection,
  ViewedEvent,
  ViewedSweep,
} from './live-view-events.ts';
import { readLogLine } from './log-line.ts';
import type { Panel } from './panel.ts';

const POLL_INTERVAL_MILLISECONDS = 500;
const REMEMBERED_LOG_LINES = 200;
const REMEMBERED_SWEEPS = 10;
const REMEMBERED_CALLS = 500;
const SHOWN_CONNECTIONS = 200;
const SHOWN_EVENTS = 12;

/** The sweeper's line "sweep finished". */
const SweepFinished = v.object({
  message: v.literal('sweep finished'),
  timestamp: v.string(),
  status: v.string(),
  refreshed: v.number(),
  failed: v.number(),
  revoked: v.number(),
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
  /** What the panel has done to the world, and to connections. */
  readonly panel: Pick<Panel, 'conditions' | 'actions'>;
  readonly timetable: () => Timetable | undefined;
}

/** Streams what the backend does to its watchers. Queries the database only while there are any. */
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

  /** Receives a line of a function's log, or of the API's. */
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

  /** Sends the latest log lines and the current state, then every change. @returns a function that stops this */
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
    const { pool, calls, panel, timetable } = this.#sources;
    const [connections, changes, service] = await Promise.all([
      pool.query<ConnectionRow>(CONNECTIONS),
      pool.query<ChangeRow>(CHANGES),
      pool.query<ServiceRow>(SERVICE),
    ]);
    const [{ not_before = null, breaker_opened_at = null } = {}] = service.rows;
    const { everySeconds, nextAt } = timetable() ?? {};
    const events = groupByUser([
      ...panel.actions,
      ...calls().slice(-REMEMBERED_CALLS).flatMap(viewCall),
      ...changes.rows.map(viewChange),
    ]);
    return {
      ...panel.conditions,
      notBefore: toIso(not_before),
      breakerOpenedAt: toIso(breaker_opened_at),
      schedule: everySeconds && nextAt ? { everySeconds, nextAt: nextAt.toISOString() } : null,
      connections: connections.rows.map((row) => viewConnection(row, events.get(row.user_id) ?? [])),
      connectionCount: Number(connections.rows[0]?.total ?? 0),
      sweeps: [...this.#sweeps],
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
  readonly total: string;
}

const CONNECTIONS = `
  select p.id as user_id, u.email, c.user_id is not null as is_known, c.expires_at, c.due_at, c.held_since,
    c.reauthorization_required_since, coalesce(c.lease_id is not null and c.claimable_at > now(), false) as is_leased,
    coalesce(c.failures, 0) as failures, count(*) over () as total
  from public.profiles p
    join auth.users u on u.id = p.id
    left join spotify_auth.connections c on c.user_id = p.id
  order by u.created_at, u.email
  limit ${SHOWN_CONNECTIONS}`;

interface ChangeRow {
  readonly user_id: string;
  readonly changed_at: Date;
  readonly change: string;
  readonly reason: string | null;
}

const CHANGES = `
  select user_id, changed_at, change, reason from spotify_auth.changes
  order by changed_at desc, number desc limit ${SHOWN_CONNECTIONS * SHOWN_EVENTS}`;

interface ServiceRow {
  readonly not_before: Date | null;
  readonly breaker_opened_at: Date | null;
}

const SERVICE = `
  select case when not_before > now() then not_before end as not_before, breaker_opened_at
  from spotify_auth.shared_state`;

function viewConnection(row: ConnectionRow, events: readonly ViewedEvent[]): ViewedConnection {
  return {
    userId: row.user_id,
    email: row.email,
    state: stateOf(row),
    expiresAt: toIso(row.expires_at),
    isLeased: row.is_leased,
    failures: row.failures,
    events: events.slice(0, SHOWN_EVENTS),
  };
}

function stateOf(row: ConnectionRow): ViewedConnection['state'] {
  if (!row.is_known) return 'never-connected';
  if (row.reauthorization_required_since !== null) return 'reauthorization-required';
  if (row.held_since !== null) return 'held';
  return row.due_at === null ? 'disconnected' : 'connected';
}

/** None for a token of the app's own, which is about no connection. */
function viewCall({ userId, at, outcome, status }: Call): readonly EventOfUser[] {
  return userId === undefined
    ? []
    : [{ userId, event: { kind: 'call', at, outcome, status: status ?? null } }];
}

function viewChange({ user_id: userId, changed_at, change, reason }: ChangeRow): EventOfUser {
  return { userId, event: { kind: 'change', at: changed_at.toISOString(), change, reason } };
}

/** By user, newest first. */
function groupByUser(events: readonly EventOfUser[]): ReadonlyMap<string, readonly ViewedEvent[]> {
  const sorted = events.toSorted((one, other) => other.event.at.localeCompare(one.event.at));
  const byUser = Map.groupBy(sorted, ({ userId }) => userId);
  return new Map([...byUser].map(([userId, list]) => [userId, age(list.map(({ event }) => event))]));
}

/** Moves earlier events into the past, by as much as time travel moved the connection. */
function age(events: readonly ViewedEvent[]): readonly ViewedEvent[] {
  let secondsPassed = 0;
  return events.map((event) => {
    const at = new Date(Date.parse(event.at) - secondsPassed * 1_000).toISOString();
    if (event.kind === 'action') secondsPassed += event.secondsPassed;
    return { ...event, at };
  });
}

function readSweep(line: string): ViewedSweep | undefined {
  if (!line.includes('sweep finished')) return undefined;
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), SweepFinished), line);
  if (!parsed.success) return undefined;
  const { timestamp, status, refreshed, failed, revoked } = parsed.output;
  return { at: timestamp, status, refreshed, failed, revoked };
}

function toIso(time: Date | null): string | null {
  return time?.toISOString() ?? null;
}
