-- Spotify persistent authentication: the work queue beside Bondhu's `profiles`, and the functions that are its only door.
--
-- Bondhu's table keeps the tokens; `spotify_auth.connections` says which of them is due, who is refreshing it and
-- which grant is dead. The schema is not exposed by the REST API. Two rules hold throughout:
--   * the database's clock is the only clock: callers pass and receive durations;
--   * locks are taken profile first, then queue row; whoever has to start with the queue row skips locked profiles.
-- This file creates objects and copies nothing: `spotify_reconcile` fills the queue in batches (docs/decisions/0003).

create schema spotify_auth;
revoke all on schema spotify_auth from public, anon, authenticated, service_role;
comment on schema spotify_auth is 'Leases and state of Spotify connections. Reached only through the public.spotify_* functions.';

-- ---------------------------------------------------------------------------------------------------------------
-- Tables
-- ---------------------------------------------------------------------------------------------------------------

create table spotify_auth.connections (
  user_id uuid primary key references public.profiles (id) on delete cascade,
  expires_at timestamptz,
  authorized_at timestamptz,
  due_at timestamptz,
  lease_id uuid,
  claimable_at timestamptz,
  settled_lease_id uuid,
  attempted_at timestamptz,
  refreshed_at timestamptz,
  failures integer not null default 0,
  held_since timestamptz,
  attempt_counted_at timestamptz,
  revocation_counted_at timestamptz,
  reauthorization_required_since timestamptz,
  reauthorization_reason text check (reauthorization_reason in ('grant_revoked', 'no_refresh_token')),
  marked_after_all boolean not null default false,
  tokens_cleared_at timestamptz,
  check ((reauthorization_required_since is null) = (reauthorization_reason is null))
);
alter table spotify_auth.connections enable row level security;
revoke all on table spotify_auth.connections from public, anon, authenticated, service_role;

comment on table spotify_auth.connections is 'One row per user who ever connected Spotify; holds no token.';
comment on column spotify_auth.connections.expires_at is 'When the stored access token runs out. Null: unknown, or there is no usable access token.';
comment on column spotify_auth.connections.authorized_at is 'When the user authorized; Spotify ends the grant six months later.';
comment on column spotify_auth.connections.due_at is 'Where the connection stands in the queue: a sweep takes it once due_at is within its window. The expiry, or, while leased or backing off, the end of that plus the window. Null: nothing to refresh (dead, or disconnected).';
comment on column spotify_auth.connections.lease_id is 'Names the one holder who may refresh. Null: no lease.';
comment on column spotify_auth.connections.claimable_at is 'Until then nobody may take a lease: the lease''s deadline, or the end of a backoff. Null: free.';
comment on column spotify_auth.connections.settled_lease_id is 'The lease whose outcome was applied last, so that a repeated call is recognised.';
comment on column spotify_auth.connections.attempted_at is 'When a lease was last taken; the floor of 30 s between attempts counts from it and survives every reset.';
comment on column spotify_auth.connections.refreshed_at is 'When this system last stored a refreshed token.';
comment on column spotify_auth.connections.failures is 'Attempts that failed in a row.';
comment on column spotify_auth.connections.held_since is 'Spotify said that the grant is dead while the breaker was open: not believed, asked again with backoff.';
comment on column spotify_auth.connections.attempt_counted_at is 'When the breaker last counted this user as attempted; it counts each user once in its window.';
comment on column spotify_auth.connections.revocation_counted_at is 'When the breaker last counted this user as revoked.';
comment on column spotify_auth.connections.reauthorization_required_since is 'Set when the grant is dead: nothing is refreshed until the user reconnects.';
comment on column spotify_auth.connections.marked_after_all is 'The mark was made while the breaker was open, after a day of nothing but invalid_grant: opening does not undo it.';
comment on column spotify_auth.connections.tokens_cleared_at is 'When the tokens of the dead grant were removed from the profile.';

-- Dead and disconnected rows are in none of the indexes that a sweep reads.
create index connections_due on spotify_auth.connections (due_at) where due_at is not null;
create index connections_held on spotify_auth.connections (claimable_at) where claimable_at is not null;
create index connections_dead on spotify_auth.connections (reauthorization_required_since)
  where reauthorization_required_since is not null and tokens_cleared_at is null;
create index connections_held_by_breaker on spotify_auth.connections (held_since) where held_since is not null;

create table spotify_auth.service (
  singleton boolean primary key default true check (singleton),
  schema_version integer not null,
  sweep_window interval not null,
  not_before timestamptz,
  calls_reserved_until timestamptz,
  breaker_opened_at timestamptz,
  reconciled_up_to uuid,
  backfilled boolean not null default false
);
alter table spotify_auth.service enable row level security;
revoke all on table spotify_auth.service from public, anon, authenticated, service_role;
insert into spotify_auth.service (schema_version, sweep_window) values (1, '40 minutes');

comment on table spotify_auth.service is 'One row: what all connections share.';
comment on column spotify_auth.service.schema_version is 'Raised by every migration that the functions'' code depends on.';
comment on column spotify_auth.service.sweep_window is 'How long before expiry a sweep takes a token; kept up to date by the sweeps.';
comment on column spotify_auth.service.not_before is 'Nobody calls Spotify before this moment: it asked us to wait, or refused our client.';
comment on column spotify_auth.service.calls_reserved_until is 'Where sweeps have a ceiling on calls per second: the calls of all claims so far are spread over the time until then.';
comment on column spotify_auth.service.breaker_opened_at is 'Since when so many grants are said to be dead that it is not believed. Null: the breaker is closed.';
comment on column spotify_auth.service.backfilled is 'Whether spotify_reconcile has been through all profiles once.';
comment on column spotify_auth.service.reconciled_up_to is 'The last profile that spotify_reconcile compared. Null: it starts over.';

create table spotify_auth.breaker_minutes (
  minute timestamptz primary key,
  attempted integer not null,
  revoked integer not null
);
alter table spotify_auth.breaker_minutes enable row level security;
revoke all on table spotify_auth.breaker_minutes from public, anon, authenticated, service_role;
comment on table spotify_auth.breaker_minutes is 'What the breaker judges by: how many distinct users were attempted and revoked, by the minute.';

-- Each refresh rewrites one wide profile; room on the page keeps most of these updates free of index writes.
alter table public.profiles set (fillfactor = 85);

-- ---------------------------------------------------------------------------------------------------------------
-- From profile to queue. Users may write anything into their own spotify_* columns: nothing here raises on any value.
-- ---------------------------------------------------------------------------------------------------------------

-- These two have no `set`, which would keep the planner from inlining them; whoever calls them has set the search path.
create function spotify_auth.clamp_time(moment timestamptz) returns timestamptz
language sql immutable parallel safe as $$
  select case when moment is not null then
    greatest(least(moment, timestamptz '2200-01-01 00:00:00+00'), timestamptz '2000-01-01 00:00:00+00')
  end;
$$;
comment on function spotify_auth.clamp_time is 'Limits a time to the years 2000 to 2200, so that arithmetic on a hostile value (-infinity, the year 294276) cannot fail. Null stays null.';

create function spotify_auth.is_usable_token(token text) returns boolean
language sql immutable parallel safe as $$
  select token is not null and token <> '' and octet_length(token) <= 4096;
$$;
comment on function spotify_auth.is_usable_token is 'Whether a stored value can be a token: neither null nor empty nor over 4,096 bytes.';

create view spotify_auth.safe_profiles as
  select p.id,
    spotify_auth.is_usable_token(p.spotify_access_token) as has_access,
    spotify_auth.is_usable_token(p.spotify_refresh_token) as has_refresh,
    case when spotify_auth.is_usable_token(p.spotify_access_token) then spotify_auth.clamp_time(p.spotify_token_expires_at) end as expires_at,
    spotify_auth.clamp_time(p.spotify_connected_at) as authorized_at
  from public.profiles p;
revoke all on table spotify_auth.safe_profiles from public, anon, authenticated, service_role;
comment on view spotify_auth.safe_profiles is 'What the queue takes over from a profile, made safe.';

create function spotify_auth.follow_profiles(users uuid[]) returns integer
language plpgsql set search_path = '' as $$
declare
  followed integer;
begin
  with profile as materialized (
    select * from spotify_auth.safe_profiles p where p.id = any (users) order by p.id for no key update skip locked
  ), upserted as (
    insert into spotify_auth.connections as c
      (user_id, expires_at, authorized_at, due_at, reauthorization_required_since, reauthorization_reason)
    select profile.id, profile.expires_at, profile.authorized_at,
      case when profile.has_refresh then coalesce(profile.expires_at, now()) end,
      case when profile.has_access and not profile.has_refresh then now() end,
      case when profile.has_access and not profile.has_refresh then 'no_refresh_token' end
    from profile
    where profile.has_access or profile.has_refresh
      or exists (select from spotify_auth.connections known where known.user_id = profile.id)
    on conflict (user_id) do update set
      expires_at = excluded.expires_at,
      authorized_at = excluded.authorized_at,
      reauthorization_required_since = excluded.reauthorization_required_since,
      reauthorization_reason = excluded.reauthorization_reason,
      tokens_cleared_at = null,
      held_since = null,
      lease_id = null,
      failures = 0,
      -- The floor between attempts: whoever keeps resetting a row cannot make us call Spotify more often.
      claimable_at = case when c.attempted_at > now() - interval '30 seconds' then c.attempted_at + interval '30 seconds' end,
      due_at = case when c.attempted_at > now() - interval '30 seconds' and excluded.due_at is not null
        then greatest(excluded.due_at, c.attempted_at + interval '30 seconds' + (select s.sweep_window from spotify_auth.service s))
        else excluded.due_at end
  )
  select count(*) into followed from profile;
  return followed;
end;
$$;
comment on function spotify_auth.follow_profiles is 'Brings the queue rows of these users in step with their profiles. Clears lease, failures and dead mark: a change from outside is proof of life. Profiles that others have locked are left to their writers. Returns how many were there and free.';

create function spotify_auth.on_profile_change() returns trigger
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
begin
  -- Our own writes maintain the queue themselves. Set in the functions' bodies, for a function-level `set` of a
  -- custom parameter needs a superuser.
  if coalesce(current_setting('spotify_auth.own_write', true), '') <> 'on' then
    perform spotify_auth.follow_profiles(array[new.id]);
  end if;
  return null;
end;
$$;
comment on function spotify_auth.on_profile_change is 'Trigger: keeps the queue in step with writes from outside. Security definer, so that users can still update their own profile.';

create trigger spotify_auth_profile_inserted
  after insert on public.profiles for each row
  when (new.spotify_access_token is not null or new.spotify_refresh_token is not null)
  execute function spotify_auth.on_profile_change();

create trigger spotify_auth_profile_updated
  after update on public.profiles for each row
  when (old.spotify_access_token is distinct from new.spotify_access_token
    or old.spotify_refresh_token is distinct from new.spotify_refresh_token
    or old.spotify_token_expires_at is distinct from new.spotify_token_expires_at
    or old.spotify_connected_at is distinct from new.spotify_connected_at)
  execute function spotify_auth.on_profile_change();

create function public.spotify_reconcile(batch_size integer) returns jsonb
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  resume_after uuid;
  page_end uuid;
  drifted_users uuid[];
  healed integer;
  was_backfilled boolean;
begin
  if (batch_size > 0) is not true then
    raise exception 'batch_size must be at least 1, got %', batch_size using errcode = '22023';
  end if;
  select coalesce(s.reconciled_up_to, '00000000-0000-0000-0000-000000000000'), s.backfilled into resume_after, was_backfilled
    from spotify_auth.service s for update skip locked;
  if not found then
    return jsonb_build_object('healed', 0, 'done', true);
  end if;

  with page as materialized (
    select * from spotify_auth.safe_profiles p where p.id > resume_after order by p.id limit batch_size
  ), drifted as materialized (
    select page.id
    from page left join spotify_auth.connections c on c.user_id = page.id
    where case
      when not page.has_access and not page.has_refresh then
        c.due_at is not null or (c.reauthorization_required_since is not null and c.tokens_cleared_at is null)
      when c.user_id is null then true
      else c.authorized_at is distinct from page.authorized_at
        or c.expires_at is distinct from page.expires_at
        or (page.has_refresh and c.due_at is null and c.reauthorization_reason is distinct from 'grant_revoked')
        or (not page.has_refresh and c.reauthorization_reason is null)
    end
  )
  select array(select drifted.id from drifted), (select page.id from page order by page.id desc limit 1)
  into drifted_users, page_end;
  healed := spotify_auth.follow_profiles(drifted_users);

  update spotify_auth.service set reconciled_up_to = page_end, backfilled = was_backfilled or page_end is null;
  return jsonb_build_object('healed', healed, 'done', was_backfilled or page_end is null);
end;
$$;
comment on function public.spotify_reconcile is
'Compares the next `batch_size` profiles with the queue and repairs what differs: fills the queue after the first migration, heals what a restore left behind (it bypasses triggers). Remembers where it stopped and starts over at the end. Returns {healed, done}: done is false only while the first pass is under way and this caller should go on; from then on a page per sweep is enough.';

-- ---------------------------------------------------------------------------------------------------------------
-- Leases
-- ---------------------------------------------------------------------------------------------------------------

create function spotify_auth.not_before_in() returns double precision
language sql stable set search_path = '' as $$
  select extract(epoch from s.not_before - now())::double precision from spotify_auth.service s where s.not_before > now();
$$;
comment on function spotify_auth.not_before_in is 'Seconds for which nobody may call Spotify. Null: anybody may.';

create function public.spotify_check_connection(for_user uuid, refresh_within interval, lease interval) returns jsonb
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  profile record;
  connection spotify_auth.connections;
  spotify_not_before timestamptz;
  state text;
  grant_token text;
begin
  select p.spotify_user_id, p.spotify_user_email,
      coalesce(c.due_at, c.reauthorization_required_since) is not null as queued,
      spotify_auth.is_usable_token(p.spotify_access_token) or spotify_auth.is_usable_token(p.spotify_refresh_token) as has_token
    into profile
    from public.profiles p left join spotify_auth.connections c on c.user_id = p.id
    where p.id = for_user;
  if not found then
    return jsonb_build_object('state', 'disconnected');
  end if;
  if profile.has_token and not profile.queued and spotify_auth.follow_profiles(array[for_user]) = 0 then
    return jsonb_build_object('state', 'locked');
  end if;

  select s.not_before into spotify_not_before from spotify_auth.service s where s.not_before > now();

  -- Takes the lease if the connection is due and free; a row that somebody else holds or has locked is passed over.
  update spotify_auth.connections c set
    lease_id = gen_random_uuid(),
    claimable_at = now() + lease,
    attempted_at = now(),
    due_at = greatest(c.due_at, now() + lease + (select s.sweep_window from spotify_auth.service s))
  where c.user_id = (
    select free.user_id from spotify_auth.connections free
    where free.user_id = for_user
      and spotify_not_before is null
      and free.due_at is not null
      and (free.expires_at is null or free.expires_at <= now() + refresh_within)
      and (free.claimable_at is null or free.claimable_at <= now())
    for update skip locked
  )
  returning c.* into connection;

  if found then
    -- A statement of its own: the row lock may have come after a commit that the first snapshot cannot see.
    select p.spotify_refresh_token into grant_token from public.profiles p where p.id = for_user;
    if not spotify_auth.is_usable_token(grant_token) then
      delete from spotify_auth.connections c where c.user_id = for_user;
      return public.spotify_check_connection(for_user, refresh_within, lease);
    end if;
    state := 'leased';
  else
    select c.* into connection from spotify_auth.connections c where c.user_id = for_user;
    state := case
      when connection.reauthorization_required_since is not null then 'reauthorization_required'
      when connection.due_at is null then 'disconnected'
      when connection.expires_at > now() + refresh_within then 'connected'
      when spotify_not_before is not null or (connection.claimable_at > now() and connection.lease_id is null) then 'backing_off'
      else 'busy'
    end;
    if state = 'disconnected' then
      return jsonb_build_object('state', state);
    end if;
  end if;

  return jsonb_build_object(
    'state', state,
    'spotify_user_id', profile.spotify_user_id,
    'spotify_user_email', profile.spotify_user_email,
    'connected_at', connection.authorized_at,
    'expires_at', connection.expires_at,
    'seconds_left', extract(epoch from connection.expires_at - now()),
    'reauthorize_by', connection.authorized_at + interval '6 months',
    'retry_in', greatest(0, extract(epoch from greatest(connection.claimable_at, spotify_not_before) - now())),
    'lease', case when state = 'leased' then jsonb_build_object(
      'user_id', connection.user_id,
      'lease_id', connection.lease_id,
      'leased_at', now(),
      'refresh_token', grant_token,
      'seconds_left', extract(epoch from connection.expires_at - now()),
      'failures', connection.failures) end
  );
end;
$$;
comment on function public.spotify_check_connection is
'Reads one connection; if its token expires within `refresh_within` and nobody holds it, takes a lease of length `lease` in the same call. Returns {state, spotify_user_id, spotify_user_email, connected_at, expires_at, seconds_left, reauthorize_by, retry_in, lease}. state: disconnected, connected, leased (the caller now has to refresh and record), busy (somebody else is refreshing, or the queue row is locked), locked (the profile is locked and not in the queue yet), backing_off (a refresh failed, or Spotify asked everybody to wait; again in retry_in seconds), reauthorization_required. seconds_left is null when no usable access token is stored.';

create function public.spotify_claim_due(batch_size integer, refresh_within interval, lease interval, sweep_age interval, calls_per_second double precision default null) returns jsonb
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  places tid[];
  leased spotify_auth.connections[];
  holders uuid[];
  claims jsonb;
  orphans uuid[];
  not_before_in double precision;
  calls_start_in double precision := 0;
  too_early_by double precision;
begin
  if (batch_size between 1 and 1000) is not true then
    raise exception 'batch_size must be 1 to 1000, got %', batch_size using errcode = '22023';
  end if;
  update spotify_auth.service set sweep_window = refresh_within where sweep_window <> refresh_within;
  not_before_in := spotify_auth.not_before_in();
  if not_before_in is not null then
    return jsonb_build_object('claims', '[]'::jsonb, 'next_claim_in', null, 'calls_start_in', 0, 'not_before_in', not_before_in);
  end if;

  if calls_per_second is not null then
    -- Each claim gets the next stretch of time that is free for its calls, so that together they keep the ceiling. Locked
    -- from here on, so that those who claim at once get theirs one after the other.
    select coalesce(greatest(0, extract(epoch from s.calls_reserved_until - now())), 0) into calls_start_in
      from spotify_auth.service s for update;
    -- A lease that lapses before its call is due would be of no use to anybody.
    too_early_by := calls_start_in + batch_size / calls_per_second - extract(epoch from lease) / 2;
    if too_early_by > 0 then
      return jsonb_build_object('claims', '[]'::jsonb, 'next_claim_in', too_early_by, 'calls_start_in', 0, 'not_before_in', null);
    end if;
  end if;

  -- Three statements. Joined into the one that locks, the update is planned as a scan of the whole queue; and tokens
  -- read by it may be older than the lock.
  select array_agg(free.ctid) into places from (
    select c.ctid from spotify_auth.connections c
    where c.due_at <= now() + refresh_within
      and (c.claimable_at is null or c.claimable_at <= now())
      and (c.refreshed_at is null or c.refreshed_at < now() - sweep_age)
    order by c.due_at
    limit batch_size
    for update skip locked) free;

  -- By place, not by user: the locks keep the rows where they are, and no index has to be searched again.
  with claimed as (
    update spotify_auth.connections c set
      lease_id = gen_random_uuid(),
      claimable_at = now() + lease,
      attempted_at = now(),
      due_at = now() + lease + refresh_within
    where c.ctid = any (places)
    returning c as connection)
  select array_agg(claimed.connection) into leased from claimed;

  select
    jsonb_agg(jsonb_build_object(
      'user_id', c.user_id,
      'lease_id', c.lease_id,
      'leased_at', now(),
      'refresh_token', p.spotify_refresh_token,
      'seconds_left', extract(epoch from c.expires_at - now()),
      'failures', c.failures) order by c.expires_at nulls first)
      filter (where spotify_auth.is_usable_token(p.spotify_refresh_token)),
    array_agg(c.user_id) filter (where not spotify_auth.is_usable_token(p.spotify_refresh_token)),
    array_agg(c.user_id)
  into claims, orphans, holders
  from unnest(leased) c left join public.profiles p on p.id = c.user_id;

  if orphans is not null then
    -- Deleted, not updated: a second update in one transaction checks the foreign key, and a profile that a restore
    -- removed would fail every claim.
    delete from spotify_auth.connections c where c.user_id = any (orphans);
    perform spotify_auth.follow_profiles(orphans);
  end if;

  if calls_per_second is not null and claims is not null then
    update spotify_auth.service set calls_reserved_until =
      now() + make_interval(secs => calls_start_in + jsonb_array_length(claims) / calls_per_second);
  end if;

  return jsonb_build_object(
    'claims', coalesce(claims, '[]'),
    'calls_start_in', calls_start_in,
    'next_claim_in', case when coalesce(jsonb_array_length(claims), 0) < batch_size then least(
      (select extract(epoch from c.claimable_at - now())
        from spotify_auth.connections c
        where c.claimable_at > now()
          and c.due_at is not null
          and (c.expires_at is null or c.expires_at <= now() + refresh_within)
          and (c.refreshed_at is null or c.refreshed_at < now() - sweep_age)
          and c.user_id <> all (coalesce(holders, '{}'))
        order by c.claimable_at
        limit 1),
      -- Still free and due: its row was locked for a moment, or a whole batch turned out to have no token. Ordered, for
      -- an `exists` would be planned as a scan of the whole queue that hopes to find one early.
      (select 1 from spotify_auth.connections c
        where c.due_at <= now() + refresh_within
          and (c.claimable_at is null or c.claimable_at <= now())
          and (c.refreshed_at is null or c.refreshed_at < now() - sweep_age)
        order by c.due_at
        limit 1)) end,
    'not_before_in', null
  );
end;
$$;
comment on function public.spotify_claim_due is
'Takes leases of length `lease` on up to `batch_size` (1 to 1,000) connections whose token expires within `refresh_within`, soonest expiry first; passes over rows that others hold and those refreshed within `sweep_age`, the time since the sweep began. With calls_per_second, reserves the time for a call each, after those of earlier claims, and claims nothing as long as a call might not be due in the first half of its lease. Returns {claims: [{user_id, lease_id, leased_at, refresh_token, seconds_left, failures}], calls_start_in, next_claim_in, not_before_in}: one document, because the REST API cuts result sets off silently. next_claim_in: seconds until a connection becomes free that others hold or have locked and that expires within the window, or until there is time for the calls; null when there is none, or when the batch was full. calls_start_in: seconds until the first of the reserved calls is due, 0 without a ceiling. not_before_in: seconds for which nobody may call Spotify, and nothing is claimed; null: anybody may.';

-- ---------------------------------------------------------------------------------------------------------------
-- Outcomes
-- ---------------------------------------------------------------------------------------------------------------

create function spotify_auth.judge_breaker(held_grant_lives boolean) returns boolean
language plpgsql set search_path = '' as $$
declare
  is_open boolean;
  is_evident boolean;
begin
  select s.breaker_opened_at is not null into is_open from spotify_auth.service s;
  select coalesce(sum(m.revoked) >= greatest(3, 0.02 * sum(m.attempted)), false) into is_evident
    from spotify_auth.breaker_minutes m where m.minute > now() - interval '20 minutes';

  if is_evident and not is_open then
    update spotify_auth.service set breaker_opened_at = now() where breaker_opened_at is null;
    is_open := true;
  elsif is_open and not is_evident
    and (held_grant_lives or not exists (select from spotify_auth.connections c where c.held_since is not null)) then
    update spotify_auth.service set breaker_opened_at = null;
    is_open := false;
  end if;

  if is_open then
    -- What was believed on the way here, by whomever: undone, and asked again a minute from now. Who comes here holds
    -- other locks, so rows that somebody has locked are left to the next call.
    update spotify_auth.connections c set
      held_since = now(),
      reauthorization_required_since = null,
      reauthorization_reason = null,
      claimable_at = now() + interval '1 minute',
      due_at = greatest(c.expires_at, now() + interval '1 minute' + (select s.sweep_window from spotify_auth.service s))
    where c.user_id in (
      select marked.user_id from spotify_auth.connections marked
      where marked.reauthorization_required_since > now() - interval '20 minutes'
        and marked.reauthorization_reason = 'grant_revoked'
        and marked.tokens_cleared_at is null
        and not marked.marked_after_all
      for no key update skip locked);
  end if;
  return is_open;
end;
$$;
comment on function spotify_auth.judge_breaker is
'Opens the revocation breaker when the distinct users revoked within 20 minutes reach 3 and 2 % of those attempted, and undoes the marks of that time; closes it when that evidence is gone and either a held grant turned out to live or none is held any more. Returns whether it is open. docs/decisions/0006.';

create function public.spotify_record(results jsonb) returns jsonb
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  users uuid[];
  locked uuid[];
  total integer;
  unknown_outcomes integer;
  broken_successes integer;
  breaker_is_open boolean;
  attempts integer;
  revocations integer;
  marks integer;
  held_grant_lives boolean;
  wait_seconds double precision;
  verdicts jsonb;
begin
  select array_agg(distinct r.user_id),
      count(*) filter (where coalesce(r.outcome, '') not in ('refreshed', 'rotated', 'revoked', 'throttled', 'unavailable', 'rejected', 'client_rejected', 'released')),
      count(*) filter (where r.outcome = 'refreshed' and not (
          r.leased_at is not null and r.used_refresh_token is not null and coalesce(r.expires_in > 0, false)
          and spotify_auth.is_usable_token(r.access_token)
          and (r.refresh_token is null or spotify_auth.is_usable_token(r.refresh_token)))
        or r.outcome = 'rotated' and not (
          r.used_refresh_token is not null and spotify_auth.is_usable_token(r.refresh_token))),
      count(*)
    into users, unknown_outcomes, broken_successes, total
    from jsonb_to_recordset(results) as r
      (user_id uuid, outcome text, leased_at timestamptz, used_refresh_token text, access_token text, refresh_token text,
       expires_in double precision);
  -- Refused whole, before anything is written: half-understood outcomes must not replace working tokens.
  if unknown_outcomes > 0 or broken_successes > 0 or coalesce(cardinality(users), 0) <> total then
    raise exception 'spotify_record: % unknown outcomes, % successes without usable tokens or expiry, % results for % users',
      unknown_outcomes, broken_successes, total, coalesce(cardinality(users), 0) using errcode = '22023';
  end if;

  select coalesce(array_agg(id), '{}') into locked from (
    select p.id from public.profiles p where p.id = any (users) order by p.id for no key update skip locked) profile;
  perform from spotify_auth.connections c where c.user_id = any (locked) order by c.user_id for no key update;

  select s.breaker_opened_at is not null into breaker_is_open from spotify_auth.service s;
  perform set_config('spotify_auth.own_write', 'on', true);
  with result as materialized (
    select r.*, coalesce(r.refresh_token <> r.used_refresh_token, false) as rotated,
      r.leased_at + make_interval(secs => r.expires_in) as expires_at,
      now() + make_interval(secs => least(greatest(r.retry_after, 1), 86400)) as retry_at
    from jsonb_to_recordset(results) as r (user_id uuid, lease_id uuid, leased_at timestamptz, outcome text,
      used_refresh_token text, access_token text, refresh_token text, expires_in double precision, retry_after double precision)
  ), judged as materialized (
    select result.*, case
      when p.id is null then 'stale'
      when not p.id = any (locked) then 'busy'
      -- It may be the only living token: it counts whatever became of the lease.
      when result.outcome in ('refreshed', 'rotated') and result.rotated and p.spotify_refresh_token = result.used_refresh_token then 'applied'
      when c.settled_lease_id = result.lease_id then 'already_applied'
      -- What Spotify said about one token says nothing about another; a restore can change it and leave the lease.
      when c.lease_id = result.lease_id
        and (result.outcome not in ('refreshed', 'rotated', 'revoked') or p.spotify_refresh_token = result.used_refresh_token) then
        -- After a day of nothing else it is believed after all: the app's client id may have changed.
        case when result.outcome = 'revoked' and breaker_is_open and coalesce(c.held_since > now() - interval '24 hours', true)
          then 'held' else 'applied' end
      else 'stale'
    end as verdict,
    c.held_since,
    coalesce(c.attempt_counted_at < now() - interval '20 minutes', true) as is_new_attempt,
    -- Not evidence: what is as old as six months, and what a held connection repeats.
    coalesce(c.authorized_at > now() - interval '180 days', true) and c.held_since is null
      and coalesce(c.revocation_counted_at < now() - interval '20 minutes', true) as is_new_revocation
    from result
      left join public.profiles p on p.id = result.user_id
      left join spotify_auth.connections c on c.user_id = result.user_id
  ), stored as (
    update public.profiles p set
      spotify_access_token = case judged.outcome when 'refreshed' then judged.access_token else p.spotify_access_token end,
      spotify_refresh_token = coalesce(judged.refresh_token, p.spotify_refresh_token),
      spotify_token_expires_at = case judged.outcome when 'refreshed' then judged.expires_at else p.spotify_token_expires_at end
    from judged
    where p.id = judged.user_id and judged.verdict = 'applied' and judged.outcome in ('refreshed', 'rotated')
  ), settled as (
    update spotify_auth.connections c set
      lease_id = null,
      settled_lease_id = judged.lease_id,
      expires_at = case judged.outcome when 'refreshed' then judged.expires_at else c.expires_at end,
      refreshed_at = case judged.outcome when 'refreshed' then now() else c.refreshed_at end,
      failures = case
        when judged.outcome = 'refreshed' then 0
        when judged.outcome in ('rotated', 'unavailable', 'rejected') or judged.verdict = 'held' then c.failures + 1
        else c.failures end,
      attempted_at = case when judged.outcome = 'released' then null else c.attempted_at end,
      claimable_at = case when judged.outcome in ('rotated', 'throttled', 'unavailable', 'rejected') or judged.verdict = 'held' then judged.retry_at end,
      due_at = case
        when judged.outcome = 'refreshed' then judged.expires_at
        when judged.outcome in ('released', 'client_rejected') then coalesce(c.expires_at, now())
        when judged.outcome = 'revoked' and judged.verdict = 'applied' then null
        else greatest(c.expires_at, judged.retry_at + (select s.sweep_window from spotify_auth.service s)) end,
      held_since = case
        when judged.verdict = 'held' then coalesce(c.held_since, now())
        when judged.outcome in ('refreshed', 'revoked') then null
        else c.held_since end,
      marked_after_all = judged.outcome = 'revoked' and judged.verdict = 'applied' and breaker_is_open,
      attempt_counted_at = case when judged.outcome in ('refreshed', 'revoked') and judged.is_new_attempt then now() else c.attempt_counted_at end,
      revocation_counted_at = case when judged.outcome = 'revoked' and judged.is_new_revocation then now() else c.revocation_counted_at end,
      reauthorization_required_since = case when judged.outcome = 'revoked' and judged.verdict = 'applied' then now() end,
      reauthorization_reason = case when judged.outcome = 'revoked' and judged.verdict = 'applied' then 'grant_revoked' end
    from judged
    where c.user_id = judged.user_id and judged.verdict in ('applied', 'held')
  )
  select jsonb_agg(jsonb_build_object('user_id', judged.user_id, 'lease_id', judged.lease_id, 'verdict', judged.verdict)),
      count(*) filter (where judged.verdict in ('applied', 'held') and judged.outcome in ('refreshed', 'revoked') and judged.is_new_attempt),
      count(*) filter (where judged.verdict in ('applied', 'held') and judged.outcome = 'revoked' and judged.is_new_revocation),
      count(*) filter (where judged.verdict = 'applied' and judged.outcome = 'revoked'),
      coalesce(bool_or(judged.verdict = 'applied' and judged.outcome = 'refreshed' and judged.held_since is not null), false),
      max(case judged.outcome when 'throttled' then least(greatest(judged.retry_after, 1), 86400) when 'client_rejected' then 60 end)
    into verdicts, attempts, revocations, marks, held_grant_lives, wait_seconds
    from judged;
  perform set_config('spotify_auth.own_write', '', true);

  if wait_seconds is not null then
    update spotify_auth.service set not_before = greatest(not_before, now() + make_interval(secs => wait_seconds));
  end if;
  -- The row that everybody counts in comes last, so that it is locked for the shortest time.
  if attempts > 0 or revocations > 0 then
    insert into spotify_auth.breaker_minutes as m (minute, attempted, revoked) values (date_trunc('minute', now()), attempts, revocations)
      on conflict (minute) do update set attempted = m.attempted + excluded.attempted, revoked = m.revoked + excluded.revoked;
    delete from spotify_auth.breaker_minutes m where m.minute < now() - interval '1 hour';
  end if;
  if breaker_is_open or revocations > 0 or marks > 0 then
    breaker_is_open := spotify_auth.judge_breaker(held_grant_lives);
  end if;

  return jsonb_build_object(
    'verdicts', coalesce(verdicts, '[]'),
    'not_before_in', spotify_auth.not_before_in(),
    'breaker_is_open', breaker_is_open);
end;
$$;
comment on function public.spotify_record is
'Applies a batch of refresh outcomes, one per user: [{user_id, lease_id, leased_at, outcome, used_refresh_token, access_token, refresh_token, expires_in, retry_after}]. outcome: refreshed (tokens stored; refresh_token null keeps the stored one), rotated (only the refresh token stored, again after retry_after seconds), revoked (marked dead), throttled (again after retry_after seconds, at most a day, and nobody calls Spotify until then), unavailable or rejected (again after retry_after seconds), client_rejected (the connection is free, nobody calls Spotify for 60 s), released (the lease was not used). Returns {verdicts: [{user_id, lease_id, verdict}], not_before_in, breaker_is_open} with verdict applied, held (revoked, but not believed while the breaker is open: asked again after retry_after seconds), already_applied (the call was repeated), stale (the lease is over, nothing changed) or busy (somebody has the profile locked: repeat). What brings a new refresh token applies whenever the stored one is the one that was used; everything else needs its lease.';

create function public.spotify_clear_dead_grants(grace interval, batch_size integer) returns integer
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  cleared uuid[];
begin
  with dead as materialized (
    select c.user_id from spotify_auth.connections c
    where c.reauthorization_required_since <= now() - grace and c.tokens_cleared_at is null
      and not exists (select from spotify_auth.service s where s.breaker_opened_at is not null)
    order by c.reauthorization_required_since
    limit batch_size
    for no key update skip locked
  )
  select array_agg(id) into cleared from (
    select p.id from public.profiles p join dead on dead.user_id = p.id for no key update of p skip locked) profile;

  perform set_config('spotify_auth.own_write', 'on', true);
  update public.profiles p set spotify_access_token = null, spotify_refresh_token = null, spotify_token_expires_at = null
    where p.id = any (cleared);
  perform set_config('spotify_auth.own_write', '', true);
  update spotify_auth.connections c set expires_at = null, tokens_cleared_at = now() where c.user_id = any (cleared);
  return coalesce(cardinality(cleared), 0);
end;
$$;
comment on function public.spotify_clear_dead_grants is
'Removes the tokens and the expiry of up to `batch_size` grants that have been dead for longer than `grace`; the mark stays, so that the user is still told to reconnect. Never while the breaker is open. Returns how many.';

create function public.spotify_restore_connections(since timestamptz) returns integer
language plpgsql security definer set search_path = '' set timezone = 'UTC' as $$
declare
  restored integer;
begin
  update spotify_auth.connections c set
    reauthorization_required_since = null,
    reauthorization_reason = null,
    marked_after_all = false,
    failures = 0,
    due_at = coalesce(c.expires_at, now())
  where c.reauthorization_required_since >= since and c.reauthorization_reason = 'grant_revoked' and c.tokens_cleared_at is null;
  get diagnostics restored = row_count;
  return restored;
end;
$$;
comment on function public.spotify_restore_connections is
'For operators, after Spotify wrongly said that grants were dead: undoes the marks made since a moment, as long as the tokens are still there (a week). The connections are due at once. Returns how many.';

-- ---------------------------------------------------------------------------------------------------------------
-- Monitoring
-- ---------------------------------------------------------------------------------------------------------------

-- In plpgsql, which plans for the interval at hand; an SQL function is planned for any, and then reads the whole queue.
create function public.spotify_due_count(refresh_within interval) returns bigint
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select count(*) from spotify_auth.connections c where c.due_at <= now() + refresh_within)
    -- Leased, backing off, or lapsed since: queued for later than they expire.
    + (select count(*) from spotify_auth.connections c
       where c.claimable_at is not null and c.due_at > now() + refresh_within
         and (c.expires_at is null or c.expires_at <= now() + refresh_within));
end;
$$;
comment on function public.spotify_due_count is 'How many living connections have a token that expires within `refresh_within`, those leased or backing off included.';

create function public.spotify_connection_stats() returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object(
    'connected', count(*) filter (where c.due_at is not null),
    'due', count(*) filter (where c.due_at is not null and (c.expires_at is null or c.expires_at <= now() + s.sweep_window)),
    'expired', count(*) filter (where c.due_at is not null and (c.expires_at is null or c.expires_at <= now())),
    'waiting_for_reauthorization', count(*) filter (where c.reauthorization_required_since is not null),
    'oldest_overdue_seconds', coalesce(extract(epoch from now() - min(c.expires_at) filter (where c.due_at is not null and c.expires_at <= now())), 0),
    'held_by_breaker', count(*) filter (where c.held_since is not null),
    'breaker_open_seconds', extract(epoch from now() - s.breaker_opened_at),
    'not_before_in', spotify_auth.not_before_in(),
    'schema_version', s.schema_version)
  from spotify_auth.service s left join spotify_auth.connections c on true
  group by s.schema_version, s.breaker_opened_at;
$$;
comment on function public.spotify_connection_stats is 'For monitoring: {connected, due (within the sweeps'' window), expired, waiting_for_reauthorization, oldest_overdue_seconds, held_by_breaker, breaker_open_seconds (null: closed), not_before_in (null: anybody may call Spotify), schema_version}. Reads the whole queue.';

-- ---------------------------------------------------------------------------------------------------------------
-- The door: service_role alone. Revoking from public is not enough, for Supabase's older default privileges grant
-- every new function to anon and authenticated by name.
-- ---------------------------------------------------------------------------------------------------------------

revoke all on all functions in schema spotify_auth from public, anon, authenticated, service_role;

revoke all on function
  public.spotify_reconcile(integer),
  public.spotify_check_connection(uuid, interval, interval),
  public.spotify_claim_due(integer, interval, interval, interval, double precision),
  public.spotify_record(jsonb),
  public.spotify_clear_dead_grants(interval, integer),
  public.spotify_restore_connections(timestamptz),
  public.spotify_due_count(interval),
  public.spotify_connection_stats()
from public, anon, authenticated;

grant execute on function
  public.spotify_reconcile(integer),
  public.spotify_check_connection(uuid, interval, interval),
  public.spotify_claim_due(integer, interval, interval, interval, double precision),
  public.spotify_record(jsonb),
  public.spotify_clear_dead_grants(interval, integer),
  public.spotify_restore_connections(timestamptz),
  public.spotify_due_count(interval),
  public.spotify_connection_stats()
to service_role;
