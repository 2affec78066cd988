-- 1 of 13: the schema of Spotify persistent authentication.
--
-- Bondhu's table `public.profiles` holds the tokens. `spotify_auth.connections` records which token is due,
-- which lease covers it and which grant is dead. The REST API does not expose this schema: the functions
-- `public.spotify_*`, which only service_role may execute, are the only way in.
--
-- These rules apply to all of the files:
--
--   * No code of a caller ever runs as the owner. Every function has `set search_path = pg_catalog, pg_temp`.
--     pg_temp is searched last because it is named last, so that a caller's `pg_temp.timestamptz` cannot pass
--     for one of our types; an empty search_path would search pg_temp first. Names outside pg_catalog include
--     their schema.
--   * The database's clock is the only clock: callers pass and receive durations.
--   * Functions lock the profile first, then the queue row. A function that has to start with the queue
--     row skips locked profiles.
--   * One row never stops the others. Values that users can write are made safe before anything is computed
--     from them, and a write that Bondhu's schema rejects for one profile fails for that profile alone.
--   * Each file is one transaction, however it is applied, and waits at most two seconds for a lock. If
--     it fails, it leaves nothing behind, and can be run again.
--   * Privileges on each function are revoked and granted right after its creation. Revoking from public is
--     not enough: Supabase's older default privileges grant every new function to anon and authenticated.
--   * A published migration is never edited (docs/decisions/0016).

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create schema spotify_auth;
revoke all on schema spotify_auth from public, anon, authenticated, service_role;
comment on schema spotify_auth is
  'Leases and state of Spotify connections. The public.spotify_* functions are the only way in.';

-- One row per user who ever connected. The foreign key to public.profiles comes last, with the triggers.
create table spotify_auth.connections (
  user_id uuid primary key,

  -- Copied from the profile and made safe.
  expires_at timestamptz,
  authorized_at timestamptz,
  implausible_expiry boolean not null default false,
  shares_token boolean not null default false,

  -- Its position in the queue, its lease and its attempts.
  due_at timestamptz,
  claimable_at timestamptz,
  lease_id uuid,
  settled_lease_id uuid,
  attempted_at timestamptz,
  refreshed_at timestamptz,
  refreshes integer not null default 0,
  failures integer not null default 0,

  -- Whether the grant is alive.
  seen_alive boolean not null default false,
  held_since timestamptz,
  revocation_reason text check (revocation_reason in ('expired', 'revoked', 'invalid', 'unknown')),
  reauthorization_required_since timestamptz,
  reauthorization_reason text check (reauthorization_reason in ('grant_revoked', 'no_refresh_token')),
  marked_after_all boolean not null default false,
  verify_at timestamptz,
  tokens_cleared_at timestamptz,

  -- Events that were sent to other teams.
  announced_mark timestamptz,
  announced_authorization timestamptz,
  announced_days smallint,

  check ((reauthorization_required_since is null) = (reauthorization_reason is null))
);
alter table spotify_auth.connections enable row level security;
revoke all on table spotify_auth.connections from public, anon, authenticated, service_role;

comment on table spotify_auth.connections is
  'The work queue: one row per user who ever connected Spotify. Contains no token.';
comment on column spotify_auth.connections.expires_at is
  'When the stored access token expires. Null: unknown, or no usable access token is stored.';
comment on column spotify_auth.connections.authorized_at is
  'When the user authorized; Spotify ends the grant six months later. Null: unknown.';
comment on column spotify_auth.connections.implausible_expiry is
  'The last expiry written from outside is further ahead than a token lives, so it is not believed.';
comment on column spotify_auth.connections.shares_token is
  'Another profile had the same refresh token when this row was last compared: its leases cover both.';
comment on column spotify_auth.connections.due_at is
$$Its position in the queue, which orders all rows. Null: nothing to refresh (dead, or disconnected).

  normally       when the token expires, or now if that is unknown
  while leased   the end of the lease plus the sweeps' window
  backing off    the end of the backoff plus that window, or the expiry if it is later

A sweep takes the row once due_at is within its window.$$;
comment on column spotify_auth.connections.claimable_at is
  'No lease can be taken before this time: the end of the current lease, of another profile''s lease on '
  'the same token, or of a backoff. Null or past: free.';
comment on column spotify_auth.connections.lease_id is
  'The only lease under which the connection may be refreshed. Null: no lease.';
comment on column spotify_auth.connections.settled_lease_id is
  'The lease whose outcome was applied last: identifies a repeated call.';
comment on column spotify_auth.connections.attempted_at is
  'When the last lease was taken. Null: never, or that lease was released unused. '
  'A write from outside resets the rest, but the next attempt still waits until 30 s after this.';
comment on column spotify_auth.connections.refreshed_at is
  'When this system last stored a refreshed token.';
comment on column spotify_auth.connections.refreshes is
  'How often this system has stored a refreshed token since the user connected.';
comment on column spotify_auth.connections.failures is
  'Consecutive failed attempts. Throttling and a rejected client are not failures of the connection.';
comment on column spotify_auth.connections.seen_alive is
  'This system has refreshed the grant with the stored refresh token. No user can set this by a write.';
comment on column spotify_auth.connections.held_since is
  'Since when Spotify has refused the grant without being believed: sweeps ask again with backoff.';
comment on column spotify_auth.connections.revocation_reason is
  'Spotify''s reason for its last refusal of the grant: a hint, never proof.';
comment on column spotify_auth.connections.reauthorization_required_since is
  'Since when the user has had to reconnect: the grant is dead, or has no refresh token. Null: not marked.';
comment on column spotify_auth.connections.marked_after_all is
  'The mark was made while the breaker was open, or on a grant that was held when it last closed. '
  'Such a mark is no evidence for the breaker, and an opening breaker does not undo it.';
comment on column spotify_auth.connections.verify_at is
  'When a sweep asks Spotify again whether the mark is right. Null: not marked, or no token to ask with.';
comment on column spotify_auth.connections.tokens_cleared_at is
  'When the tokens of the dead grant were removed from the profile.';
comment on column spotify_auth.connections.announced_mark is
  'The mark (reauthorization_required_since) that was announced to other teams.';
comment on column spotify_auth.connections.announced_authorization is
  'The authorization (authorized_at) whose coming end was announced to other teams.';
comment on column spotify_auth.connections.announced_days is
  'Days before the end in the last announcement: 30, 7 or 1. Null: none yet.';

-- Partial, so that dead and disconnected connections cost refreshes nothing: connections_due has none of
-- them, connections_claimable next to none.
create index connections_due on spotify_auth.connections (due_at) where due_at is not null;
create index connections_claimable on spotify_auth.connections (claimable_at) where claimable_at is not null;
create index connections_held on spotify_auth.connections (held_since) where held_since is not null;
create index connections_dead on spotify_auth.connections (reauthorization_required_since)
  where reauthorization_required_since is not null and tokens_cleared_at is null;
create index connections_evidence on spotify_auth.connections (reauthorization_required_since)
  where reauthorization_required_since is not null and tokens_cleared_at is null and seen_alive
    and not marked_after_all;
create index connections_to_verify on spotify_auth.connections (verify_at) where verify_at is not null;
create index connections_sharing on spotify_auth.connections (user_id) where shares_token;

create table spotify_auth.token_hashes (
  user_id uuid primary key references spotify_auth.connections (user_id) on delete cascade,
  token_hash bigint not null
);
create index token_hashes_by_hash on spotify_auth.token_hashes (token_hash);
alter table spotify_auth.token_hashes enable row level security;
revoke all on table spotify_auth.token_hashes from public, anon, authenticated, service_role;
comment on table spotify_auth.token_hashes is
$$The first 64 bits of the SHA-256 of each stored refresh token, to find profiles that share a token.

A separate table, because a hash only changes with its token, and the queue row with every refresh.$$;

create table spotify_auth.shared_state (
  singleton boolean primary key default true check (singleton),
  sweep_window interval not null default '40 minutes',
  not_before timestamptz,
  calls_reserved_until timestamptz,
  population integer not null default 0,
  breaker_opened_at timestamptz,
  breaker_closed_at timestamptz,
  reconciled_up_to uuid,
  backfilled boolean not null default false,
  missed_before_pass bigint not null default 0,
  missed_healed bigint not null default 0,
  missed_reported bigint not null default 0,
  events_since timestamptz not null default now(),
  last_sweep_finished_at timestamptz
);
alter table spotify_auth.shared_state enable row level security;
revoke all on table spotify_auth.shared_state from public, anon, authenticated, service_role;

comment on table spotify_auth.shared_state is
  'One row: state that all connections share. '
  'The first call that needs it creates it, so that a copy of the schema without data works.';
comment on column spotify_auth.shared_state.sweep_window is
  'How long before expiry a sweep refreshes a token. The sweeps keep this up to date.';
comment on column spotify_auth.shared_state.not_before is
  'No call to Spotify before this time: Spotify asked us to wait, or rejected our client.';
comment on column spotify_auth.shared_state.calls_reserved_until is
  'If sweeps have a limit on calls: the end of the time that claims have reserved so far.';
comment on column spotify_auth.shared_state.population is
  'Living connections, as last counted: the breaker''s percentages refer to this number.';
comment on column spotify_auth.shared_state.breaker_opened_at is
  'Since when Spotify has called so many living grants dead that it is not believed. Null: breaker closed.';
comment on column spotify_auth.shared_state.breaker_closed_at is
  'When the breaker last closed. '
  'Grants held before that are no evidence any more: they would open it a second time.';
comment on column spotify_auth.shared_state.reconciled_up_to is
  'The last profile that spotify_reconcile has compared. Null: it starts from the beginning.';
comment on column spotify_auth.shared_state.backfilled is
  'Whether spotify_reconcile has compared all profiles once.';
comment on column spotify_auth.shared_state.missed_before_pass is
  'The value of spotify_auth.missed_profile_changes when the current pass of spotify_reconcile began.';
comment on column spotify_auth.shared_state.missed_healed is
  'The same when the last complete pass began: changes up to it are in the queue.';
comment on column spotify_auth.shared_state.missed_reported is
  'The same when a sweep last finished.';
comment on column spotify_auth.shared_state.events_since is
  'Grants that were marked dead before this time are not announced: the page has long told their users.';
comment on column spotify_auth.shared_state.last_sweep_finished_at is
  'When a manual or scheduled sweep last finished its work.';

create table spotify_auth.refreshes_by_minute (
  minute timestamptz primary key,
  refreshes integer not null
);
alter table spotify_auth.refreshes_by_minute enable row level security;
revoke all on table spotify_auth.refreshes_by_minute from public, anon, authenticated, service_role;
comment on table spotify_auth.refreshes_by_minute is
  'How many tokens were refreshed in each minute of the last hour. '
  'Evidence that Spotify knows our client''s grants.';

-- A sequence, because counting must never wait, fail, or be rolled back with the write that it counts.
create sequence spotify_auth.missed_profile_changes;
revoke all on sequence spotify_auth.missed_profile_changes from public, anon, authenticated, service_role;
comment on sequence spotify_auth.missed_profile_changes is
  'Counts the changes of profiles that did not reach the queue at once. spotify_reconcile repairs them.';

create function spotify_auth.read_shared_state() returns spotify_auth.shared_state
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  state spotify_auth.shared_state;
begin
  if row_security_active('public.profiles') then
    raise exception 'row level security hides profiles from %, the owner of the spotify functions',
      current_user using errcode = 'PT530',
        hint = 'alter table public.profiles no force row level security, or give that role bypassrls';
  end if;
  select s.* into state from spotify_auth.shared_state s;
  if not found then
    insert into spotify_auth.shared_state default values on conflict do nothing;
    select s.* into strict state from spotify_auth.shared_state s;
  end if;
  return state;
end;
$$;
revoke all on function spotify_auth.read_shared_state() from public, anon, authenticated, service_role;
comment on function spotify_auth.read_shared_state is
$$Returns the row of shared state, and creates it if it is missing.

Raises PT530 if row level security hides profiles from the owner of these functions: hidden rows must not be
mistaken for deleted ones.$$;

commit;
