-- Spotify persistent authentication, 1 of 12: the schema.
--
-- Bondhu's table `public.profiles` keeps the tokens. Beside it, `spotify_auth.connections` says which of them is due,
-- who is refreshing it and which grant is dead. The REST API does not expose this schema: the functions
-- `public.spotify_*`, executable by service_role alone, are the only door. Rules that hold in all of these files:
--
--   * No code of a caller ever runs as the owner. Every function has `set search_path = pg_catalog, pg_temp`: named
--     last, pg_temp is searched last, so that a caller's `pg_temp.timestamptz` is not taken for a type of ours (an
--     empty search_path would search pg_temp first). Whatever is not in pg_catalog is written with its schema.
--   * The database's clock is the only clock: callers pass and receive durations.
--   * Locks are taken profile first, then queue row; whoever has to start with the queue row skips locked profiles.
--   * One row never stops the others: values that users can write are made safe before anything is computed from
--     them, and what Bondhu's schema refuses for one profile is refused for that one alone.
--   * Each file is one transaction, however it is applied, and waits for no lock longer than two seconds: where it
--     fails, nothing of it is left, and it can be run again.
--   * A function is closed and opened right where it is created. Revoking from public is not enough: Supabase's older
--     default privileges grant every new function to anon and authenticated by name.
--   * A migration that was published is never edited (docs/decisions/0016).

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create schema spotify_auth;
revoke all on schema spotify_auth from public, anon, authenticated, service_role;
comment on schema spotify_auth is
  'Leases and state of Spotify connections. Reached only through the public.spotify_* functions.';

-- One row per user who ever connected. The foreign key to public.profiles comes last, with the triggers.
create table spotify_auth.connections (
  user_id uuid primary key,

  -- What the profile says, made safe.
  expires_at timestamptz,
  authorized_at timestamptz,
  implausible_expiry boolean not null default false,
  shares_token boolean not null default false,

  -- Where it stands in the queue, and who has leased it.
  due_at timestamptz,
  claimable_at timestamptz,
  lease_id uuid,
  settled_lease_id uuid,
  attempted_at timestamptz,
  refreshed_at timestamptz,
  failures integer not null default 0,

  -- Whether the grant lives.
  seen_alive boolean not null default false,
  held_since timestamptz,
  refusal_reason text check (refusal_reason in ('expired', 'revoked', 'invalid', 'unknown')),
  reauthorization_required_since timestamptz,
  reauthorization_reason text check (reauthorization_reason in ('grant_revoked', 'no_refresh_token')),
  marked_after_all boolean not null default false,
  verify_at timestamptz,
  tokens_cleared_at timestamptz,

  -- What other teams have been told.
  announced_mark timestamptz,
  announced_authorization timestamptz,
  announced_days smallint,

  check ((reauthorization_required_since is null) = (reauthorization_reason is null))
);
alter table spotify_auth.connections enable row level security;
revoke all on table spotify_auth.connections from public, anon, authenticated, service_role;

comment on table spotify_auth.connections is
  'The work queue: one row per user who ever connected Spotify. Holds no token.';
comment on column spotify_auth.connections.expires_at is
  'When the stored access token runs out. Null: unknown, or there is no usable access token.';
comment on column spotify_auth.connections.authorized_at is
  'When the user authorized; Spotify ends the grant six months later.';
comment on column spotify_auth.connections.implausible_expiry is
  'The last expiry that was written from outside is further away than a token lives: not believed.';
comment on column spotify_auth.connections.shares_token is
  'Another profile had the same refresh token when this was last looked at: its leases cover both.';
comment on column spotify_auth.connections.due_at is
  'Where the connection stands in the queue: a sweep takes it once due_at is within its window. The expiry, or, '
  'while leased or backing off, the end of that plus the window. Null: nothing to refresh (dead, or disconnected).';
comment on column spotify_auth.connections.claimable_at is
  'Until then nobody may take a lease: the lease''s deadline, or the end of a backoff. Null: free.';
comment on column spotify_auth.connections.lease_id is
  'Names the one lease under which the connection may be refreshed. Null: no lease.';
comment on column spotify_auth.connections.settled_lease_id is
  'The lease whose outcome was applied last, so that a repeated call is recognised.';
comment on column spotify_auth.connections.attempted_at is
  'When a lease was last taken; the floor of 30 s between attempts counts from it and survives every reset.';
comment on column spotify_auth.connections.refreshed_at is
  'When this system last stored a refreshed token.';
comment on column spotify_auth.connections.failures is
  'Attempts that failed in a row.';
comment on column spotify_auth.connections.seen_alive is
  'This system has refreshed the grant whose refresh token is stored now. No user can set this by a write.';
comment on column spotify_auth.connections.held_since is
  'Since when Spotify refuses the grant without being believed: it is asked again with backoff.';
comment on column spotify_auth.connections.refusal_reason is
  'What Spotify said when it last refused the grant: a hint, never proof.';
comment on column spotify_auth.connections.reauthorization_required_since is
  'Set when the grant is dead: the user has to reconnect.';
comment on column spotify_auth.connections.marked_after_all is
  'The mark was made on a grant that the open breaker had held: no evidence for the breaker, and opening does not '
  'undo it.';
comment on column spotify_auth.connections.verify_at is
  'When a sweep asks Spotify again whether the mark is right. Null: not marked, or nothing is left to ask with.';
comment on column spotify_auth.connections.tokens_cleared_at is
  'When the tokens of the dead grant were removed from the profile.';
comment on column spotify_auth.connections.announced_mark is
  'The dead mark (reauthorization_required_since) of which other teams have been told.';
comment on column spotify_auth.connections.announced_authorization is
  'The authorization (authorized_at) of whose end other teams have been told ahead.';
comment on column spotify_auth.connections.announced_days is
  'How many days ahead they were told last: 30, 7 or 1. Null: not yet.';

-- Dead and disconnected rows are in none of the indexes that refreshing reads.
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
  'The first 64 bits of the SHA-256 of each stored refresh token: by it profiles that share a token are found. '
  'A table of its own, because it changes when the token does, and the queue row with every refresh.';

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
  'One row: what all connections share. Made by whoever needs it first, so that a copy of the schema works.';
comment on column spotify_auth.shared_state.sweep_window is
  'How long before expiry a sweep takes a token; kept up to date by the sweeps.';
comment on column spotify_auth.shared_state.not_before is
  'Nobody calls Spotify before this moment: it asked us to wait, or refused our client.';
comment on column spotify_auth.shared_state.calls_reserved_until is
  'Where sweeps have a ceiling on calls: the calls of all claims so far are spread over the time until then.';
comment on column spotify_auth.shared_state.population is
  'Living connections, as last counted: what the breaker''s shares are of.';
comment on column spotify_auth.shared_state.breaker_opened_at is
  'Since when so many living grants are said to be dead that it is not believed. Null: the breaker is closed.';
comment on column spotify_auth.shared_state.breaker_closed_at is
  'When it last closed. What had been held before is no evidence any more: it would open it a second time.';
comment on column spotify_auth.shared_state.reconciled_up_to is
  'The last profile that spotify_reconcile compared. Null: it starts over.';
comment on column spotify_auth.shared_state.backfilled is
  'Whether spotify_reconcile has been through all profiles once.';
comment on column spotify_auth.shared_state.missed_before_pass is
  'The value of spotify_auth.missed_profile_changes when the present pass of spotify_reconcile began.';
comment on column spotify_auth.shared_state.missed_healed is
  'The same at the beginning of the last pass that came to its end: changes up to it are in the queue.';
comment on column spotify_auth.shared_state.missed_reported is
  'The same when a sweep last came to its end.';
comment on column spotify_auth.shared_state.events_since is
  'Grants that were marked dead before this moment are not announced: the page has long told their users.';
comment on column spotify_auth.shared_state.last_sweep_finished_at is
  'When a sweep last came to its end, by hand or by schedule.';

create table spotify_auth.refreshes_by_minute (
  minute timestamptz primary key,
  refreshes integer not null
);
alter table spotify_auth.refreshes_by_minute enable row level security;
revoke all on table spotify_auth.refreshes_by_minute from public, anon, authenticated, service_role;
comment on table spotify_auth.refreshes_by_minute is
  'How many tokens were refreshed, by the minute, for an hour: evidence that Spotify knows our client''s grants.';

-- A sequence, because counting must never wait, fail or be undone together with the write that is counted.
create sequence spotify_auth.missed_profile_changes;
revoke all on sequence spotify_auth.missed_profile_changes from public, anon, authenticated, service_role;
comment on sequence spotify_auth.missed_profile_changes is
  'Counts changes of profiles that did not reach the queue at once: spotify_reconcile heals them.';

create function spotify_auth.read_shared_state() returns spotify_auth.shared_state
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  state spotify_auth.shared_state;
begin
  if row_security_active('public.profiles') then
    raise exception 'row level security hides profiles from %, the owner of the spotify functions', current_user
      using errcode = 'PT530',
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
  'The one row of shared state, made where it is missing. Raises PT530 where the owner of these functions does not '
  'see every profile: what is hidden must not be taken for what is gone.';

commit;
