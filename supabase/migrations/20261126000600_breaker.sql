-- 6 of 12: whether Spotify is believed when it says that a grant is dead (docs/decisions/0006).

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function spotify_auth.count_refreshes() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(sum(m.refreshes), 0)::bigint from spotify_auth.refreshes_by_minute m
  where m.minute between now() - interval '1 hour' and now();
$$;
revoke all on function spotify_auth.count_refreshes() from public, anon, authenticated, service_role;
comment on function spotify_auth.count_refreshes is 'How many tokens were refreshed within the last hour.';

create function spotify_auth.is_nearly_all_refused(new_refreshes integer, new_refusals integer) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  refreshes constant bigint := spotify_auth.count_refreshes() + new_refreshes;
  -- Counted no further than it matters: a million may be refused.
  most constant bigint := greatest(1000, 0.04 * (select s.population from spotify_auth.shared_state s));
  refusals bigint;
begin
  if 49 * refreshes >= most then
    return false;
  end if;
  select new_refusals + count(*) into refusals from (
    (select from spotify_auth.connections c where c.held_since is not null limit most)
    union all
    (select from spotify_auth.connections c
      where c.reauthorization_required_since between now() - interval '30 minutes' and now()
        and c.reauthorization_reason = 'grant_revoked' and c.tokens_cleared_at is null
      limit most)) refused;
  return refusals >= 5 and 49 * refreshes < refusals;
end;
$$;
revoke all on function spotify_auth.is_nearly_all_refused(integer, integer)
  from public, anon, authenticated, service_role;
comment on function spotify_auth.is_nearly_all_refused is
  'Whether so many grants are refused (5 at least), and so few tokens refreshed within the last hour (under 2 %), that '
  'it is about us: as a rule the credentials are those of another app, whose grants these are not. Takes what is being '
  'recorded at the moment into account.';

create function spotify_auth.patience_with_refusals(new_refreshes integer, new_refusals integer) returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  state spotify_auth.shared_state;
  few integer;
  held integer;
begin
  if spotify_auth.is_nearly_all_refused(new_refreshes, new_refusals) then
    return null;
  end if;
  select s.* into state from spotify_auth.shared_state s;
  if state.breaker_opened_at is null then
    return interval '0';
  end if;
  few := ceil(0.04 * state.population);
  select count(*) into held from (
    select from spotify_auth.connections c where c.held_since is not null limit few) counted;
  return case when held < few then interval '20 minutes' else interval '24 hours' end;
end;
$$;
revoke all on function spotify_auth.patience_with_refusals(integer, integer)
  from public, anon, authenticated, service_role;
comment on function spotify_auth.patience_with_refusals is
  'How long a grant must have been refused before that is believed; null: however long. As a rule at once. While the '
  'breaker is open 20 minutes, or 24 hours where 4 % of all connections are held. Never while nearly all are refused.';

create function spotify_auth.judge_breaker() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  state spotify_auth.shared_state;
  threshold integer;
  evidence integer;
  doubted integer;
  is_open boolean;
begin
  select s.* into state from spotify_auth.shared_state s;
  threshold := greatest(5, ceil(0.01 * state.population));
  is_open := state.breaker_opened_at is not null;

  -- Evidence are living grants that are said to be dead: that a grant lived, this system has seen itself, so that no
  -- user can write evidence. What is as old as six months ends by itself, and in waves.
  select count(*) into evidence from (
    select from spotify_auth.connections c
    where c.reauthorization_required_since between now() - interval '30 minutes' and now()
      and c.tokens_cleared_at is null
      and c.seen_alive and not c.marked_after_all
      and coalesce(c.authorized_at > now() - interval '180 days', c.refusal_reason is distinct from 'expired')
    limit threshold) marked;
  if not is_open and evidence >= threshold then
    update spotify_auth.shared_state set breaker_opened_at = now() where breaker_opened_at is null;
    is_open := true;
  elsif is_open then
    -- With the evidence: marks that are still to be undone, for it takes several calls to undo many.
    select evidence + count(*) into doubted from (
      select from spotify_auth.connections c where c.held_since is not null and c.seen_alive limit threshold) held;
    if doubted < threshold / 2.0 then
      update spotify_auth.shared_state set breaker_opened_at = null, breaker_closed_at = now();
      is_open := false;
    end if;
  end if;

  if is_open or spotify_auth.is_nearly_all_refused(0, 0) then
    -- What was believed on the way here, by whomever: undone, and asked again a minute from now. Who comes here holds
    -- other locks, so rows that somebody has locked are left to the next call, as is what is too much for this one.
    update spotify_auth.connections c set
      held_since = c.reauthorization_required_since,
      reauthorization_required_since = null,
      reauthorization_reason = null,
      verify_at = null,
      claimable_at = now() + interval '1 minute',
      due_at = greatest(c.expires_at, now() + interval '1 minute' + state.sweep_window)
    where c.user_id in (
      select marked.user_id from spotify_auth.connections marked
      where marked.reauthorization_required_since between now() - interval '30 minutes' and now()
        and marked.reauthorization_reason = 'grant_revoked'
        and marked.tokens_cleared_at is null
        and not marked.marked_after_all
      limit 5000
      for no key update skip locked);
  end if;
  return is_open;
end;
$$;
revoke all on function spotify_auth.judge_breaker() from public, anon, authenticated, service_role;
comment on function spotify_auth.judge_breaker is
  'Opens the revocation breaker when at least 1 % of all connections, and 5, were marked dead within 30 minutes that '
  'this system had refreshed itself and that are not about six months old; closes it when fewer than half as many '
  'are held. While it is open, or nearly all grants are refused, undoes the marks of the last 30 minutes. Returns '
  'whether it is open.';

commit;
