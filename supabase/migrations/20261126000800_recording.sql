-- 9 of 13: recording the outcomes of leases.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

create function public.spotify_record(results jsonb) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  state spotify_auth.shared_state := spotify_auth.read_shared_state();
  breaker_is_open boolean := state.breaker_opened_at is not null;
  outcomes spotify_auth.outcome[];
  users integer;
  unknown_outcomes integer;
  broken_successes integer;
  judged spotify_auth.judged_outcome[];
  new_refreshes integer;
  revocations_to_judge integer;
  new_revocations integer;
  patience interval;
  refusals spotify_auth.refusal[];
  refusal spotify_auth.refusal;
  verdicts json;
  wait_seconds double precision;
begin
  select array_agg(r), count(distinct r.user_id),
      count(*) filter (where coalesce(r.outcome, '') not in (
        'refreshed', 'refresh_token_only', 'revoked', 'throttled',
        'unavailable', 'rejected', 'client_rejected', 'released')),
      count(*) filter (where
        r.outcome = 'refreshed' and (
          r.leased_at is not null and r.used_refresh_token is not null and r.expires_in > 0
          and octet_length(r.access_token) between 1 and 4096
          and coalesce(octet_length(r.refresh_token) between 1 and 4096, true)) is not true
        or r.outcome = 'refresh_token_only' and (
          r.used_refresh_token is not null
          and octet_length(r.refresh_token) between 1 and 4096) is not true)
    into outcomes, users, unknown_outcomes, broken_successes
    from jsonb_populate_recordset(null::spotify_auth.outcome, results) r;
  -- Rejects the whole batch before it writes: half-understood outcomes must not replace working tokens.
  if unknown_outcomes > 0 or broken_successes > 0 or users <> cardinality(outcomes) then
    raise exception 'spotify_record: % unknown outcomes, % successes without usable tokens or expiry, '
      '% results for % users',
      unknown_outcomes, broken_successes, cardinality(outcomes), users using errcode = '22023';
  end if;

  judged := spotify_auth.judge_outcomes(outcomes);
  if exists (
      select from unnest(judged) j
      where j.shares_token
        or j.outcome in ('refreshed', 'refresh_token_only') and j.verdict in ('stale', 'busy')) then
    judged := spotify_auth.add_copies(judged);
  end if;

  refusals := spotify_auth.write_tokens(w.users, w.access_tokens, w.refresh_tokens, w.expiries)
    from (
      select array_agg(j.user_id) as users, array_agg(j.access_token) as access_tokens,
        array_agg(j.refresh_token) as refresh_tokens, array_agg(j.expires_at) as expiries
      from unnest(judged) j
      where j.verdict = 'applied' and j.outcome in ('refreshed', 'refresh_token_only')) w;
  if refusals <> '{}' then
    perform spotify_auth.note_refusals(refusals);
  end if;
  foreach refusal in array refusals loop
    for place in 1 .. cardinality(judged) loop
      if judged[place].user_id = refusal.user_id and judged[place].verdict = 'applied' then
        judged[place].verdict := 'refused';
        if judged[place].has_rotated then
          -- The stored token may be dead, and sending it could end the grant. The new one waits in the
          -- rescue queue.
          judged[place].retry_at := now() + interval '1 day';
        end if;
      end if;
    end loop;
  end loop;

  select count(*) filter (where j.outcome = 'refreshed'),
      count(*) filter (where j.outcome = 'revoked' and j.marked_since is null),
      count(*) filter (where j.outcome = 'revoked' and j.marked_since is null and j.held_since is null)
    into new_refreshes, revocations_to_judge, new_revocations
    from unnest(judged) j where j.verdict = 'applied' and not j.is_copy;
  if revocations_to_judge > 0 then
    patience := spotify_auth.patience_with_revocations(new_refreshes, new_revocations);
  end if;

  with settled as (
    update spotify_auth.connections c set
      lease_id = null,
      settled_lease_id = case
        when j.is_copy or j.verdict = 'refused' then c.settled_lease_id
        else j.lease_id end,
      expires_at = case when is_refreshed then j.expires_at else c.expires_at end,
      refreshed_at = case when is_refreshed then now() else c.refreshed_at end,
      refreshes = case when is_refreshed then c.refreshes + 1 else c.refreshes end,
      attempted_at = case when j.outcome = 'released' then null else c.attempted_at end,
      failures = case
        when is_refreshed then 0
        when is_held or j.verdict = 'refused'
          or j.outcome in ('refresh_token_only', 'unavailable', 'rejected') then c.failures + 1
        else c.failures end,
      claimable_at = case when is_held or j.verdict = 'refused'
        or j.outcome in ('refresh_token_only', 'throttled', 'unavailable', 'rejected') then wait_until end,
      due_at = case
        when is_dead then null
        when is_refreshed then j.expires_at
        when j.outcome in ('released', 'client_rejected') then coalesce(c.expires_at, now())
        else greatest(c.expires_at, wait_until + state.sweep_window) end,
      seen_alive = c.seen_alive or is_alive,
      held_since = case
        when is_held then coalesce(c.held_since, now())
        when not (is_alive or is_dead) then c.held_since end,
      revocation_reason = case
        when j.outcome = 'revoked' then
          case when j.reason in ('expired', 'revoked', 'invalid') then j.reason else 'unknown' end
        when not is_alive then c.revocation_reason end,
      reauthorization_required_since = case
        when is_dead then coalesce(c.reauthorization_required_since, now()) end,
      reauthorization_reason = case when is_dead then coalesce(c.reauthorization_reason, 'grant_revoked') end,
      marked_after_all = is_dead and (c.marked_after_all or c.reauthorization_required_since is null
        and (breaker_is_open or coalesce(c.held_since <= state.breaker_closed_at, false))),
      -- Marks are verified, because Spotify may have been wrong: hourly at first, then ever less often, until
      -- the tokens are removed. Grants that this system never saw alive are usually long dead: daily.
      verify_at = case
        when is_dead and j.outcome = 'revoked' then now() + greatest(
          case when c.seen_alive then interval '1 hour' else interval '1 day' end,
          (now() - c.reauthorization_required_since) / 4)
        when is_dead then j.retry_at end
    from unnest(judged) j,
      lateral (select
        j.verdict = 'applied' and j.outcome = 'refreshed' as is_refreshed,
        j.verdict = 'applied' and j.outcome in ('refreshed', 'refresh_token_only') as is_alive,
        j.outcome = 'revoked' and j.marked_since is null
          and (coalesce(j.held_since, now()) + patience <= now()) is not true as is_held) answer,
      lateral (select not is_alive and not is_held
        and (j.outcome = 'revoked' or j.marked_since is not null) as is_dead,
        -- Often enough to settle held grants within the hour, even when patience ends.
        case when is_held
          then least(j.retry_at, now() + interval '15 minutes', greatest(
            coalesce(j.held_since + patience, 'infinity'), now() + interval '1 minute'))
          else j.retry_at end as wait_until) grants
    -- By place, not by user: the locks keep the rows where they are, and no index has to be searched again.
    where c.ctid = j.place and j.verdict in ('applied', 'refused')
    returning c.user_id, is_held, j.outcome = 'revoked' and j.marked_since is not null as is_confirmed
  )
  select json_agg(case when j.verdict = 'refused'
        then json_build_object('user_id', j.user_id, 'lease_id', j.lease_id, 'verdict', j.verdict,
          'code', r.code, 'constraint', r.constraint_name)
        else json_build_object('user_id', j.user_id, 'lease_id', j.lease_id, 'verdict', case
          when settled.is_held then 'held'
          when settled.is_confirmed then 'confirmed'
          else j.verdict end) end)
        filter (where not j.is_copy),
      max(case j.outcome
        when 'throttled' then extract(epoch from j.retry_at - now())
        when 'client_rejected' then 60 end)
    into verdicts, wait_seconds
    from unnest(judged) j
      left join settled on settled.user_id = j.user_id
      left join unnest(refusals) r on r.user_id = j.user_id;

  update spotify_auth.token_hashes h set token_hash = spotify_auth.hash_token(j.refresh_token)
    from unnest(judged) j
    where h.user_id = j.user_id and j.has_rotated and j.verdict = 'applied'
      and j.outcome in ('refreshed', 'refresh_token_only');

  if wait_seconds is not null then
    update spotify_auth.shared_state s set not_before = greatest(
      case when s.not_before <= now() + interval '1 day' then s.not_before end,
      now() + make_interval(secs => wait_seconds));
  end if;
  -- All callers update this row: it comes last, so that it is locked for the shortest time.
  if new_refreshes > 0 then
    insert into spotify_auth.refreshes_by_minute as m (minute, refreshes)
      values (date_trunc('minute', now()), new_refreshes)
      on conflict (minute) do update set refreshes = m.refreshes + excluded.refreshes;
    delete from spotify_auth.refreshes_by_minute m
      where m.minute not between now() - interval '1 hour 1 minute' and now();
  end if;
  if breaker_is_open or revocations_to_judge > 0 then
    breaker_is_open := spotify_auth.judge_breaker();
  end if;

  return json_build_object(
    'verdicts', coalesce(verdicts, '[]'),
    'not_before_in', spotify_auth.not_before_in(),
    'breaker_is_open', breaker_is_open);
end;
$$;
revoke all on function public.spotify_record(jsonb) from public, anon, authenticated;
grant execute on function public.spotify_record(jsonb) to service_role;
comment on function public.spotify_record is
$$Applies a batch of outcomes of leases, at most one per user.

Parameters:
  results  [{user_id, lease_id, leased_at, outcome, reason, used_refresh_token, access_token, refresh_token,
           expires_in, retry_after}]: the first three as claimed, the last two in seconds. An unknown outcome,
           a success without usable tokens or expiry, or two results for one user: 22023, nothing is applied

Outcomes:
  refreshed           stores access_token, its expiry (leased_at plus expires_in) and refresh_token, where
                      null keeps the stored one
  refresh_token_only  stores refresh_token alone; again after retry_after
  revoked             marks the grant dead; reason is a hint: expired, revoked, invalid
  throttled           again after retry_after, at most a day, and no function calls Spotify until then
  unavailable         again after retry_after
  rejected            again after retry_after
  client_rejected     frees the connection; no function calls Spotify for 60 s
  released            frees the connection: the lease was not used

An outcome needs its lease. A new refresh token does not: it applies whenever the token that was sent is still
stored, as it must be for refreshed, refresh_token_only and revoked. New tokens also reach the other profiles
with the token that was sent.

Returns {verdicts, not_before_in, breaker_is_open}:
  verdicts         [{user_id, lease_id, verdict}], and if it is refused {code, constraint}
  not_before_in    seconds until a function may call Spotify; null: it may call now
  breaker_is_open  whether the revocation breaker is open

Verdicts:
  applied          the outcome counts
  held             revoked, but not believed yet: again after retry_after, at most 15 minutes
  confirmed        revoked, and marked dead before
  refused          Bondhu's schema rejects the tokens: code is the SQLSTATE, constraint may be null.
                   Again within 30 minutes; if the refresh token was replaced, which the caller now has to
                   keep, after a day
  already_applied  the call was repeated
  stale            the lease is over, its token is no longer stored, or the profile is gone: the connection
                   stays as it is, but a wait that Spotify asked for still applies
  busy             another transaction has locked a profile: the caller has to repeat$$;

commit;
