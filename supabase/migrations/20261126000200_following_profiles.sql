-- 3 of 13: from profile to queue.
--
-- Users may write anything into their own spotify_* columns. No value makes anything here fail, and nothing
-- that users cannot see is computed from it.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function spotify_auth.hash_token(token text) returns bigint
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
  select ('x' || left(encode(sha256(convert_to(token, 'UTF8')), 'hex'), 16))::bit(64)::bigint;
$$;
revoke all on function spotify_auth.hash_token(text) from public, anon, authenticated, service_role;
comment on function spotify_auth.hash_token is
  'The first 64 bits of a token''s SHA-256: equal for equal tokens, and reveals nothing about the token.';

-- A token is usable if it is neither null nor empty nor over 4,096 bytes. Times are limited to the years 2000
-- to 2200, because arithmetic on a hostile one (-infinity, the year 294276) would fail. An e-mail address has
-- at most 254 characters (RFC 5321, section 4.5.3.1.3).
create view spotify_auth.safe_profiles with (security_invoker = true) as
  select p.id as user_id,
    case when octet_length(p.spotify_access_token) between 1 and 4096
      then p.spotify_access_token
    end as access_token,
    case when octet_length(p.spotify_refresh_token) between 1 and 4096
      then p.spotify_refresh_token
    end as refresh_token,
    case when octet_length(p.spotify_access_token) between 1 and 4096
        and p.spotify_token_expires_at is not null
      then greatest(least(p.spotify_token_expires_at, '2200-01-01Z'::timestamptz), '2000-01-01Z'::timestamptz)
    end as expires_at,
    case when p.spotify_connected_at is not null
      then greatest(least(p.spotify_connected_at, '2200-01-01Z'::timestamptz), '2000-01-01Z'::timestamptz)
    end as authorized_at,
    left(p.spotify_user_id, 128) as spotify_user_id,
    left(p.spotify_user_email, 254) as spotify_user_email
  from public.profiles p;
revoke all on table spotify_auth.safe_profiles from public, anon, authenticated, service_role;
comment on view spotify_auth.safe_profiles is
  'The part of a profile that this system reads, made safe.';

create view spotify_auth.compared_profiles with (security_invoker = true) as
  select p.user_id,
    p.access_token is not null as has_access,
    p.refresh_token is not null as has_refresh,
    believed.expires_at,
    p.expires_at is not null and believed.expires_at is null as has_implausible_expiry,
    p.authorized_at,
    token.hash as token_hash,
    h.token_hash is not distinct from token.hash as has_known_token,
    p.spotify_user_id,
    p.spotify_user_email,
    case
      when p.access_token is null and p.refresh_token is null then
        c.due_at is not null or (c.reauthorization_required_since is not null and c.tokens_cleared_at is null)
      when c.user_id is null then true
      else c.authorized_at is distinct from p.authorized_at
        or c.expires_at is distinct from believed.expires_at
        or h.token_hash is distinct from token.hash
        or (p.refresh_token is not null and c.due_at is null
          and c.reauthorization_reason is distinct from 'grant_revoked')
        or (p.refresh_token is null and c.reauthorization_reason is null)
        -- Written while the clock was ahead: the row would wait until the clock reaches that time again.
        or coalesce(greatest(c.claimable_at, c.attempted_at, c.refreshed_at, c.reauthorization_required_since)
          > now() + interval '1 day 1 hour', false)
    end as has_drifted
  from spotify_auth.safe_profiles p
    left join spotify_auth.connections c on c.user_id = p.user_id
    left join spotify_auth.token_hashes h on h.user_id = p.user_id,
    -- A token lives for an hour: an expiry over 70 minutes ahead is not believed. Null: unknown, so due.
    -- This system computed the queue's own expiry, which is believed unless it is over 25 hours ahead.
    lateral (select case
      when p.expires_at <= now() + interval '70 minutes'
        or (p.expires_at = c.expires_at and p.expires_at <= now() + interval '1 day 1 hour') then p.expires_at
      end as expires_at) believed,
    lateral (select spotify_auth.hash_token(p.refresh_token) as hash) token;
revoke all on table spotify_auth.compared_profiles from public, anon, authenticated, service_role;
comment on view spotify_auth.compared_profiles is
  'Each profile with its queue row: the believed expiry, and whether the two differ (has_drifted).';

create function spotify_auth.follow_profiles(users uuid[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  locked uuid[];
  floor_ends constant interval := '30 seconds';
begin
  -- A separate statement: the next one must see everything that was committed before the lock.
  select array_agg(profile.id) into locked from (
    select p.id from public.profiles p where p.id = any (users)
    order by p.id for no key update skip locked) profile;

  with profile as materialized (
    select p.* from spotify_auth.compared_profiles p
    where p.user_id = any (locked)
      and (p.has_access or p.has_refresh
        or exists (select from spotify_auth.connections known where known.user_id = p.user_id))
  ), followed as (
    insert into spotify_auth.connections as c (user_id, expires_at, authorized_at, implausible_expiry, due_at,
      reauthorization_required_since, reauthorization_reason)
    select p.user_id, p.expires_at, p.authorized_at, p.has_implausible_expiry,
      case when p.has_refresh then coalesce(p.expires_at, now()) end,
      case when p.has_access and not p.has_refresh then now() end,
      case when p.has_access and not p.has_refresh then 'no_refresh_token' end
    from profile p order by p.user_id
    on conflict (user_id) do update set
      expires_at = excluded.expires_at,
      authorized_at = excluded.authorized_at,
      implausible_expiry = excluded.implausible_expiry,
      seen_alive = c.seen_alive and (select p.has_known_token from profile p where p.user_id = c.user_id),
      reauthorization_required_since = excluded.reauthorization_required_since,
      reauthorization_reason = excluded.reauthorization_reason,
      marked_after_all = false,
      verify_at = null,
      tokens_cleared_at = null,
      held_since = null,
      revocation_reason = null,
      lease_id = null,
      failures = 0,
      refreshes = case when c.due_at is null or c.authorized_at is distinct from excluded.authorized_at then 0
        else c.refreshes end,
      attempted_at = case when c.attempted_at <= now() then c.attempted_at end,
      refreshed_at = case when c.refreshed_at <= now() then c.refreshed_at end,
      -- The floor between attempts: a user who keeps resetting a row cannot make us call Spotify more often.
      claimable_at = case when c.attempted_at between now() - floor_ends and now()
        then c.attempted_at + floor_ends end,
      due_at = case when c.attempted_at between now() - floor_ends and now() and excluded.due_at is not null
        then greatest(excluded.due_at, c.attempted_at + floor_ends + coalesce(
          (select s.sweep_window from spotify_auth.shared_state s), interval '40 minutes'))
        else excluded.due_at end
  ), hashed as (
    insert into spotify_auth.token_hashes as h (user_id, token_hash)
    select p.user_id, p.token_hash from profile p where p.has_refresh order by p.user_id
    on conflict (user_id) do update set token_hash = excluded.token_hash
      where h.token_hash <> excluded.token_hash
  )
  delete from spotify_auth.token_hashes h using profile p where h.user_id = p.user_id and not p.has_refresh;

  update spotify_auth.connections c set shares_token = true
  where c.user_id in (
    select shared.user_id from spotify_auth.connections shared
    where not shared.shares_token and shared.user_id in (
      select unnest(array[mine.user_id, other.user_id])
      from spotify_auth.token_hashes mine
        join spotify_auth.token_hashes other
          on other.token_hash = mine.token_hash and other.user_id <> mine.user_id
      where mine.user_id = any (locked))
    for no key update skip locked);
  return coalesce(cardinality(locked), 0);
end;
$$;
revoke all on function spotify_auth.follow_profiles(uuid[]) from public, anon, authenticated, service_role;
comment on function spotify_auth.follow_profiles is
$$Brings the queue rows of these users in step with their profiles.

Clears lease, failures and dead mark, because a change from outside is proof of life; marks a connection that
has an access token and no refresh token. Skips locked profiles: the transactions that write them follow them.
Returns how many of the profiles existed and were not locked.$$;

create function spotify_auth.on_profile_change() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '1s' as $$
begin
  begin
    if spotify_auth.follow_profiles(array[new.id]) = 0 then
      perform nextval('spotify_auth.missed_profile_changes');
    end if;
  exception when others or assert_failure then
    begin
      perform nextval('spotify_auth.missed_profile_changes');
    exception when others or assert_failure then
      null;
    end;
  end;
  return null;
end;
$$;
revoke all on function spotify_auth.on_profile_change() from public, anon, authenticated, service_role;
comment on function spotify_auth.on_profile_change is
$$Trigger: keeps the queue in step with writes from outside.

Security definer, so that users can still update their own profile. A user's write succeeds whatever fails in
here, unless the whole statement is cancelled. It counts a change that did not reach the queue (a row locked
for over a second, a serializable writer's conflict, a full disk), and spotify_reconcile repairs it.$$;

commit;
