-- 7 of 13: the revocation breaker. It decides whether to believe Spotify when it calls grants dead
-- (docs/decisions/0006).

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function spotify_auth.count_refreshes() returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(sum(m.refreshes), 0)::bigint from spotify_auth.refreshes_by_minute m
  where m.minute between now() - interval '1 hour' and now();
$$;
revoke all on function spotify_auth.count_refreshes() from public, anon, authenticated, service_role;
comment on function spotify_auth.count_refreshes is
  'How many tokens were refreshed within the last hour.';

create function spotify_auth.is_nearly_all_revoked(new_refreshes integer, new_revocations integer)
returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  refreshes constant bigint := spotify_auth.count_refreshes() + new_refreshes;
  -- Counting stops here, because a million may be refused. Refreshes that outweigh so many refusals show that
  -- Spotify knows our client.
  most constant bigint := greatest(1000, 0.04 * (select s.population from spotify_auth.shared_state s));
  refusals bigint;
begin
  if 49 * refreshes >= most then
    return false;
  end if;
  select new_revocations + count(*) into refusals from (
    (select from spotify_auth.connections c where c.held_since is not null limit most)
    union all
    (select from spotify_auth.connections c
      where c.reauthorization_required_since between now() - interval '30 minutes' and now()
        and c.reauthorization_reason = 'grant_revoked' and c.tokens_cleared_at is null
      limit most)) refused;
  return refusals >= 5 and 49 * refreshes < refusals;
end;
$$;
revoke all on function spotify_auth.is_nearly_all_revoked(integer, integer)
  from public, anon, authenticated, service_role;
comment on function spotify_auth.is_nearly_all_revoked is
$$Whether nearly all grants are refused, so that the cause is on our side.

The usual cause is another app's credentials, to which these grants do not belong. True if at least 5 grants
are held or were marked within 30 minutes, and the tokens refreshed within the last hour are under 2 % of
both. More refusals than 1,000, or than 4 % of all connections, weigh no more.

Parameters: the refreshes and refusals that are being recorded at the moment, which count as well.$$;

create function spotify_auth.patience_with_revocations(new_refreshes integer, new_revocations integer)
returns interval
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  state spotify_auth.shared_state;
  few integer;
  doubted integer;
begin
  if spotify_auth.is_nearly_all_revoked(new_refreshes, new_revocations) then
    return null;
  end if;
  select s.* into state from spotify_auth.shared_state s;
  if state.breaker_opened_at is null then
    return interval '0';
  end if;
  few := ceil(0.04 * state.population);
  -- Includes those that were believed after all: a mistake that spreads over several sweeps would otherwise
  -- be believed part by part.
  select count(*) into doubted from (
    (select from spotify_auth.connections c where c.held_since is not null limit few)
    union all
    (select from spotify_auth.connections c
      where c.reauthorization_required_since between now() - interval '24 hours' and now()
        and c.tokens_cleared_at is null and c.marked_after_all
      limit few)) counted;
  return case
    when doubted >= few then interval '24 hours'
    -- Until all others have been asked too, and all doubted grants are counted.
    when state.breaker_opened_at > now() - state.sweep_window then state.sweep_window
    else interval '20 minutes' end;
end;
$$;
revoke all on function spotify_auth.patience_with_revocations(integer, integer)
  from public, anon, authenticated, service_role;
comment on function spotify_auth.patience_with_revocations is
$$How long Spotify must have refused a grant before it is believed. Null: it is not believed at all.

  0                 normally
  the sweep window  while the breaker has been open for less than that: by then all others have been asked too
                    (40 minutes by default)
  20 minutes        while it is open from then on
  24 hours          while it is open and at least 4 % of all connections are held, or were believed after all
                    within the last 24 hours
  null              while nearly all grants are refused

Parameters: as for is_nearly_all_revoked.$$;

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

  -- Evidence is a living grant that Spotify calls dead. Only a grant that this system has refreshed itself
  -- counts as living, so that no user can write evidence. Grants about six months old end by themselves, and
  -- in waves.
  select count(*) into evidence from (
    select from spotify_auth.connections c
    where c.reauthorization_required_since between now() - interval '30 minutes' and now()
      and c.tokens_cleared_at is null
      and c.seen_alive and not c.marked_after_all
      and coalesce(
        c.authorized_at > now() - interval '180 days', c.revocation_reason is distinct from 'expired')
    limit threshold) marked;
  if not is_open and evidence >= threshold then
    update spotify_auth.shared_state set breaker_opened_at = now() where breaker_opened_at is null;
    is_open := true;
  elsif is_open then
    -- The evidence is added: marks that are still to be undone, because undoing many takes several calls.
    select evidence + count(*) into doubted from (
      select from spotify_auth.connections c
      where c.held_since is not null and c.seen_alive limit threshold) held;
    if doubted < threshold / 2.0 then
      update spotify_auth.shared_state set breaker_opened_at = null, breaker_closed_at = now();
      is_open := false;
    end if;
  end if;

  if is_open or spotify_auth.is_nearly_all_revoked(0, 0) then
    -- Undoes the marks that any caller made on the way here; Spotify is asked again a minute from now. This
    -- caller holds other locks, so it leaves locked rows, and marks beyond 5,000, to the next call.
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
$$Opens or closes the revocation breaker, undoes marks that are not believed, and returns whether it is open.

It opens when, within 30 minutes, at least 1 % of all connections, and 5, were marked dead that this system
had refreshed itself. Grants of six months do not count: those of 180 days or more, and those of unknown age
that Spotify calls expired. It closes when fewer than half as many are held or still marked like that.

While it is open, or nearly all grants are refused, each call undoes up to 5,000 marks of the last 30 minutes.
Marks made after all (marked_after_all) and grants whose tokens were removed stay.$$;

commit;
