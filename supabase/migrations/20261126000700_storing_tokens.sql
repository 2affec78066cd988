-- 8 of 13: storing tokens: which outcomes of leases apply, which writes Bondhu's schema rejects, and which
-- other profiles have the old tokens.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create type spotify_auth.outcome as (
  user_id uuid, lease_id uuid, leased_at timestamptz, outcome text, reason text, used_refresh_token text,
  access_token text, refresh_token text, expires_in double precision, retry_after double precision
);
comment on type spotify_auth.outcome is
  'The outcome of a lease, as callers of spotify_record report it.';

create type spotify_auth.judged_outcome as (
  user_id uuid, lease_id uuid, outcome text, reason text, verdict text, is_copy boolean, has_rotated boolean,
  used_refresh_token text, access_token text, refresh_token text, expires_at timestamptz,
  retry_at timestamptz, held_since timestamptz, marked_since timestamptz, shares_token boolean, place tid
);
comment on type spotify_auth.judged_outcome is
  'An outcome with the verdict of spotify_record, and the position (ctid) of its locked queue row. '
  'A copy is for another profile with the same token.';

create type spotify_auth.refusal as (user_id uuid, code text, constraint_name text);
comment on type spotify_auth.refusal is
  'A profile whose tokens could not be written: the SQLSTATE, and the constraint if it was one.';

-- With nested loops, a plan made for few outcomes would scan all locked rows once for each of many.
create function spotify_auth.judge_outcomes(outcomes spotify_auth.outcome[])
returns spotify_auth.judged_outcome[]
language plpgsql set search_path = pg_catalog, pg_temp set enable_nestloop = off as $$
begin
  return (
    -- The lock comes with the latest version of its row, so that reading and locking are one statement.
    with profile as materialized (
      select p.id, p.spotify_access_token, p.spotify_refresh_token, p.spotify_token_expires_at
      from public.profiles p where p.id = any (array(select r.user_id from unnest(outcomes) r))
      order by p.id for no key update skip locked
    ), connection as materialized (
      select c.ctid, c.user_id, c.lease_id, c.settled_lease_id, c.failures, c.held_since,
        c.reauthorization_required_since, c.shares_token
      from spotify_auth.connections c where c.user_id = any (array(select profile.id from profile))
      order by c.user_id for no key update
    )
    select array_agg(row(r.user_id, r.lease_id, r.outcome, r.reason,
      case
        when p.id is null then case
          when exists (select from public.profiles locked where locked.id = r.user_id) then 'busy'
          else 'stale' end
        -- The new token may be the only valid one: it counts whether or not the lease is still valid.
        when r.outcome in ('refreshed', 'refresh_token_only') and r.refresh_token <> r.used_refresh_token
          and p.spotify_refresh_token = r.used_refresh_token then 'applied'
        when c.settled_lease_id = r.lease_id then 'already_applied'
        -- An answer about one token says nothing about another; a restore can change it and leave the lease.
        when c.lease_id = r.lease_id and (r.outcome not in ('refreshed', 'refresh_token_only', 'revoked')
          or p.spotify_refresh_token = r.used_refresh_token) then 'applied'
        else 'stale'
      end,
      false, coalesce(r.refresh_token <> r.used_refresh_token, false), r.used_refresh_token,
      case r.outcome when 'refreshed' then r.access_token else p.spotify_access_token end,
      coalesce(r.refresh_token, p.spotify_refresh_token),
      case r.outcome when 'refreshed' then r.leased_at + make_interval(secs => r.expires_in)
        else p.spotify_token_expires_at end,
      now() + make_interval(secs => case r.outcome
        when 'refreshed' then least(1800, 30 * 2 ^ least(c.failures, 6))
        else least(greatest(r.retry_after, 1), 86400) end),
      c.held_since, c.reauthorization_required_since, coalesce(c.shares_token, false), c.ctid
    )::spotify_auth.judged_outcome)
    from unnest(outcomes) r
      left join profile p on p.id = r.user_id
      left join connection c on c.user_id = r.user_id);
end;
$$;
revoke all on function spotify_auth.judge_outcomes(spotify_auth.outcome[])
  from public, anon, authenticated, service_role;
comment on function spotify_auth.judge_outcomes is
$$Locks the profiles and queue rows of outcomes, decides which outcomes apply, as spotify_record describes
it, and computes what they store.

Does not wait for locked profiles: their outcomes are busy.

Parameters:
  outcomes  one per user, already checked$$;

create function spotify_auth.write_tokens(
  users uuid[], access_tokens text[], refresh_tokens text[], expiries timestamptz[]
) returns spotify_auth.refusal[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  total constant integer := coalesce(cardinality(users), 0);
  half constant integer := total / 2;
  written uuid[];
  code text;
  constraint_name text;
begin
  if total = 0 then
    return '{}';
  end if;
  perform set_config('spotify_auth.own_write', 'on', true);
  begin
    with stored as (
      update public.profiles p set
        spotify_access_token = new.access_token,
        spotify_refresh_token = new.refresh_token,
        spotify_token_expires_at = new.expires_at
      from unnest(users, access_tokens, refresh_tokens, expiries)
        as new (user_id, access_token, refresh_token, expires_at)
      where p.id = new.user_id
      returning p.id, p.spotify_refresh_token is not distinct from new.refresh_token as is_kept)
    select array_agg(stored.id) into written from stored where stored.is_kept;
    -- Now, not when the caller commits: by then it would be too late.
    set constraints all immediate;
    perform set_config('spotify_auth.own_write', '', true);
    -- A trigger can drop a write, or bring the old token back, without an error.
    return case when cardinality(written) = total then '{}' else array(
      select row(u.id, '02000', null)::spotify_auth.refusal from unnest(users) u (id)
      where u.id <> all (coalesce(written, '{}'))) end;
  exception
    -- Not about a row: no connection, no resources, no write access, a deadlock, a lock (55), an operator.
    when sqlstate '08000' or sqlstate '25000' or sqlstate '40000' or sqlstate '53000' or sqlstate '55000'
      or sqlstate '57000' or sqlstate '58000' then
      raise;
    when others or assert_failure then
      get stacked diagnostics code = returned_sqlstate, constraint_name = constraint_name;
  end;
  -- The whole write is rolled back. The error is caught, so that the row's contents reach no log.
  if total = 1 then
    perform set_config('spotify_auth.own_write', '', true);
    return array[row(users[1], code, nullif(constraint_name, ''))::spotify_auth.refusal];
  end if;
  return spotify_auth.write_tokens(users[:half], access_tokens[:half], refresh_tokens[:half], expiries[:half])
    || spotify_auth.write_tokens(
      users[half + 1:], access_tokens[half + 1:], refresh_tokens[half + 1:], expiries[half + 1:]);
end;
$$;
revoke all on function spotify_auth.write_tokens(uuid[], text[], text[], timestamptz[])
  from public, anon, authenticated, service_role;
comment on function spotify_auth.write_tokens is
$$Stores tokens in profiles that the caller has locked.

A write that Bondhu's constraints or triggers reject for one profile fails for that one alone, which halving
finds. Returns the refused profiles, with the SQLSTATE (02000: a trigger dropped the write) and the
constraint. Raises errors that are not about a row.

Parameters: one element per profile in each array; a null token or expiry clears the column.$$;

create function spotify_auth.note_refusals(refusals spotify_auth.refusal[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  -- A schema keeps rejecting, attempt after attempt: only the first one since the last success counts.
  select spotify_auth.add_change(r.user_id, 'refused', concat_ws(' ', r.code, r.constraint_name))
  from unnest(refusals) r join spotify_auth.connections c on c.user_id = r.user_id
  where not exists (
    select from spotify_auth.changes known
    where known.user_id = r.user_id and known.change = 'refused'
      and known.changed_at >= coalesce(c.refreshed_at, '-infinity')
      and known.number = (
        select max(latest.number) from spotify_auth.changes latest where latest.user_id = r.user_id));
$$;
revoke all on function spotify_auth.note_refusals(spotify_auth.refusal[])
  from public, anon, authenticated, service_role;
comment on function spotify_auth.note_refusals is
  'Adds each refusal to the history of its connection, unless it is already the last entry. '
  'The caller has locked the queue rows.';

create function spotify_auth.add_copies(judged spotify_auth.judged_outcome[])
returns spotify_auth.judged_outcome[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  served constant uuid[] := array(select j.user_id from unnest(judged) j where j.verdict = 'applied');
  sharing record;
  locked uuid[];
begin
  -- Collected by result, before anything is locked or appended.
  for sharing in
    select j.place, j.lease_id, array_agg(p.id order by p.id) as users
    from unnest(judged) with ordinality as j (
        user_id, lease_id, outcome, reason, verdict, is_copy, has_rotated,
        used_refresh_token, access_token, refresh_token, expires_at,
        retry_at, held_since, marked_since, shares_token, queue_place, place)
      join spotify_auth.token_hashes h on h.token_hash = spotify_auth.hash_token(j.used_refresh_token)
      join public.profiles p on p.id = h.user_id and p.spotify_refresh_token = j.used_refresh_token
    where j.outcome in ('refreshed', 'refresh_token_only')
      and j.verdict in ('applied', 'stale', 'busy')
      and p.id <> j.user_id and p.id <> all (served)
    group by j.place, j.lease_id
  loop
    select array_agg(profile.id) into locked from (
      select p.id from public.profiles p where p.id = any (sharing.users)
      order by p.id for no key update skip locked) profile;
    if cardinality(locked) is distinct from cardinality(sharing.users) then
      -- A locked profile would keep the old token, which must not be sent again: the caller has to repeat.
      judged[sharing.place].verdict := 'busy';
      continue;
    end if;
    perform from spotify_auth.connections c where c.user_id = any (locked)
      order by c.user_id for no key update;
    judged := judged || array(
      select row(p.id, null, j.outcome, null, 'applied', true, j.has_rotated, j.used_refresh_token,
        case j.outcome when 'refreshed' then j.access_token else p.spotify_access_token end, j.refresh_token,
        case j.outcome when 'refreshed' then j.expires_at else p.spotify_token_expires_at end,
        j.retry_at, null, null, true, c.ctid)::spotify_auth.judged_outcome
      from unnest(judged[sharing.place:sharing.place]) j
        join public.profiles p on p.id = any (locked) and p.spotify_refresh_token = j.used_refresh_token
        left join spotify_auth.connections c on c.user_id = p.id
      where p.id <> all (array(select each.user_id from unnest(judged) each where each.is_copy)));
  end loop;
  return judged;
end;
$$;
revoke all on function spotify_auth.add_copies(spotify_auth.judged_outcome[])
  from public, anon, authenticated, service_role;
comment on function spotify_auth.add_copies is
$$Adds to each success the other profiles that have the refresh token that was sent.

So the new tokens reach them too, whether or not the lease of the row itself is still valid. If one of these
profiles is locked, the success becomes busy.$$;

commit;
