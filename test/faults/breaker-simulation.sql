-- A simulated Spotify, and simulated time, inside the database: what the sweeper and the status function do, done beside
-- the data, so that days of ten thousand connections take seconds. The functions under test are the real ones.
-- Loaded by breaker-simulation.ts, as the superuser, into a database that has the migrations.

create schema sim;
grant usage on schema sim to public;

-- ---------------------------------------------------------------------------------------------------------------
-- Time: stands still, and is moved on by sim.advance alone
-- ---------------------------------------------------------------------------------------------------------------

-- Without `set`, so that the planner inlines it as cheaply as the real one.
create function sim.now() returns timestamptz
language sql stable parallel safe as $$
  select to_timestamp(current_setting('sim.epoch')::double precision);
$$;

create table sim.clock (epoch double precision not null, observed_at timestamptz not null);

-- The functions under test read this clock instead of the real one; nothing else of them is changed. To shift every
-- time that is stored instead would rewrite each row for each step.
do $$
declare
  object record;
  clock constant text := '(\mpg_catalog\.)?\mnow\(\)';
  other_clocks constant text := '\m(now\s*\(|current_timestamp|localtimestamp|current_date|current_time|(clock|statement|transaction)_timestamp|timeofday)';
  left_over text;
begin
  for object in
    select p.oid, pg_get_functiondef(p.oid) as definition from pg_proc p
    where (p.pronamespace = 'spotify_auth'::regnamespace or p.pronamespace = 'public'::regnamespace and p.proname like 'spotify\_%')
      and p.prosrc ~ clock
  loop
    execute regexp_replace(object.definition, clock, 'sim.now()', 'g');
  end loop;
  for object in
    select c.oid::regclass as name, pg_get_viewdef(c.oid) as definition from pg_class c
    where c.relnamespace = 'spotify_auth'::regnamespace and c.relkind = 'v' and pg_get_viewdef(c.oid) ~ clock
  loop
    execute format('create or replace view %s as %s', object.name, regexp_replace(object.definition, clock, 'sim.now()', 'g'));
  end loop;
  for object in
    select d.adrelid::regclass as name, a.attname, pg_get_expr(d.adbin, d.adrelid) as expression
    from pg_attrdef d join pg_class c on c.oid = d.adrelid join pg_attribute a on a.attrelid = c.oid and a.attnum = d.adnum
    where c.relnamespace = 'spotify_auth'::regnamespace and pg_get_expr(d.adbin, d.adrelid) ~ clock
  loop
    execute format('alter table %s alter column %I set default %s', object.name, object.attname,
      regexp_replace(object.expression, clock, 'sim.now()', 'g'));
  end loop;
  select string_agg(p.proname, ', ') into left_over from pg_proc p
    where (p.pronamespace = 'spotify_auth'::regnamespace or p.pronamespace = 'public'::regnamespace and p.proname like 'spotify\_%')
      and regexp_replace(p.prosrc, 'sim\.now\(\)', '', 'g') ~* other_clocks;
  if left_over is not null then
    raise exception 'these read a clock that the simulation does not move: %', left_over;
  end if;
end $$;

-- ---------------------------------------------------------------------------------------------------------------
-- Spotify
-- ---------------------------------------------------------------------------------------------------------------

create table sim.grants (
  user_id uuid primary key,
  -- Numbers users from 1, in no order that the queue knows of.
  number integer not null unique,
  is_attacker boolean not null default false,
  refresh_token text,
  -- Really dead from then on.
  dead_from timestamptz not null default 'infinity',
  dead_reason text not null default 'revoked',
  -- Alive, and refused all the same.
  refused_from timestamptz not null default 'infinity',
  refused_until timestamptz not null default 'infinity',
  refused_reason text not null default 'revoked',
  -- What came of it.
  first_refused_at timestamptz,
  marked_at timestamptz,
  wrongly_refused_at timestamptz,
  wrongly_marked_at timestamptz,
  recovered_at timestamptz,
  -- How long the rows said "reconnect" though the grant was alive.
  told_seconds double precision not null default 0,
  -- How long the token had run out, though the grant was alive, and the rows said "try again".
  run_out_seconds double precision not null default 0
);
create index on sim.grants (dead_from) where dead_from < 'infinity';

create table sim.sweeps (
  began_at timestamptz not null,
  ended_at timestamptz not null,
  calls integer not null,
  statistics jsonb not null
);
create table sim.breaker_changes (at timestamptz not null, is_open boolean not null);

create function sim.note_breaker(breaker_is_open boolean) returns void
language sql as $$
  insert into sim.breaker_changes select sim.now(), breaker_is_open
  where breaker_is_open is distinct from
    coalesce((select c.is_open from sim.breaker_changes c order by c.at desc, c.is_open limit 1), false);
$$;

-- As lambda/connection/backoff.ts computes it.
create function sim.backoff_seconds(failures integer) returns double precision
language sql volatile as $$
  select least(1800, 30 * 2 ^ least(failures, 10)) * (0.5 + random() / 2);
$$;

create function sim.ask_spotify(claims jsonb) returns jsonb
language plpgsql as $$
declare
  results jsonb;
begin
  with call as materialized (
    select claim.*, g.user_id is not null as is_known, g.dead_from <= sim.now() as is_dead,
      case
        when g.refresh_token is distinct from claim.refresh_token then 'invalid'
        when g.dead_from <= sim.now() then g.dead_reason
        when g.refused_from <= sim.now() and g.refused_until > sim.now() then g.refused_reason
      end as reason
    from jsonb_to_recordset(claims) as claim (user_id uuid, lease_id uuid, leased_at text, refresh_token text, failures integer)
      left join sim.grants g on g.user_id = claim.user_id
  ), noted as (
    update sim.grants g set
      first_refused_at = case when call.is_dead then coalesce(g.first_refused_at, sim.now()) end,
      wrongly_refused_at = case when not call.is_dead and call.reason is not null then coalesce(g.wrongly_refused_at, sim.now()) else g.wrongly_refused_at end,
      recovered_at = case when call.reason is null and g.refused_until <= sim.now() then coalesce(g.recovered_at, sim.now()) else g.recovered_at end
    from call
    where g.user_id = call.user_id
      and (call.is_dead and g.first_refused_at is null
        or not call.is_dead and call.reason is not null and g.wrongly_refused_at is null
        or call.reason is null and g.wrongly_refused_at is not null and g.recovered_at is null)
  )
  select jsonb_agg(jsonb_build_object('user_id', call.user_id, 'lease_id', call.lease_id, 'leased_at', call.leased_at,
      'used_refresh_token', call.refresh_token)
    || case when call.reason is null
      then jsonb_build_object('outcome', 'refreshed', 'access_token', 'access', 'expires_in', 3600)
      else jsonb_build_object('outcome', 'revoked', 'reason', call.reason, 'retry_after', sim.backoff_seconds(call.failures)) end)
  into results from call;
  return results;
end;
$$;

-- Asks Spotify about leases and records what it says.
create function sim.settle(claims jsonb) returns void
language plpgsql as $$
declare
  results jsonb := sim.ask_spotify(claims);
  recorded jsonb := public.spotify_record(results);
  refused uuid[] := array(select (jsonb_path_query(results, '$[*] ? (@.outcome == "revoked").user_id') #>> '{}')::uuid);
  marked uuid[];
begin
  if cardinality(refused) > 0 then
    marked := array(select (jsonb_path_query(recorded, '$.verdicts[*] ? (@.verdict == "applied").user_id') #>> '{}')::uuid);
    update sim.grants g set
      marked_at = case when g.dead_from <= sim.now() then coalesce(g.marked_at, sim.now()) end,
      wrongly_marked_at = case when g.dead_from > sim.now() then coalesce(g.wrongly_marked_at, sim.now()) else g.wrongly_marked_at end
    where g.user_id = any (refused) and g.user_id = any (marked);
  end if;
  perform sim.note_breaker((recorded ->> 'breaker_is_open')::boolean);
end;
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- What users see
-- ---------------------------------------------------------------------------------------------------------------

-- Adds up, from the rows, what every status call would have answered since the last time. Rows only change when a sweep
-- or a status call changes them, so that what they say of a stretch without either is exact, however long.
create function sim.observe() returns void
language plpgsql as $$
declare
  since timestamptz;
  until timestamptz := sim.now();
begin
  select c.observed_at into since from sim.clock c;
  update sim.grants g set
    told_seconds = g.told_seconds + case when c.reauthorization_required_since is not null
      then extract(epoch from until - greatest(since, c.expires_at)) else 0 end,
    run_out_seconds = g.run_out_seconds + case when c.reauthorization_required_since is null
      then extract(epoch from until - greatest(since, c.expires_at)) else 0 end
  from spotify_auth.connections c
  where c.user_id = g.user_id and g.dead_from > until
    and (c.reauthorization_required_since is not null or c.due_at is not null)
    and coalesce(c.expires_at < until, true);
  -- A mark that was undone has told nobody for good.
  update sim.grants g set marked_at = null
    where g.dead_from <= until and g.marked_at is not null
      and not exists (select from spotify_auth.connections c where c.user_id = g.user_id and c.reauthorization_required_since is not null);
  update sim.clock set observed_at = until;
end;
$$;

-- As lambda/status/check-connection.ts does it.
create function sim.call_status(for_user uuid, out answer text, out refused boolean)
language plpgsql as $$
declare
  checked jsonb;
  still_works boolean;
begin
  for attempt in 1..4 loop
    checked := public.spotify_check_connection(for_user, '5 minutes', '15 seconds');
    exit when checked ->> 'state' <> 'leased';
    perform sim.settle(jsonb_build_array(checked -> 'lease'));
  end loop;
  still_works := coalesce((checked ->> 'seconds_left')::double precision > 0, false);
  answer := case
    when checked ->> 'state' = 'disconnected' then 'not_connected'
    when still_works then 'connected'
    when checked ->> 'state' = 'reauthorization_required' then 'reauthorization_required'
    else 'refresh_failed' end;
  refused := coalesce((checked ->> 'refused')::boolean, false);
end;
$$;

-- Who calls: some users only, so that what sweeps alone do for the others can be seen.
create table sim.callers (user_id uuid primary key);
create table sim.answers (at timestamptz not null, user_id uuid not null, answer text not null, refused boolean not null);

create function sim.call_status_of_some(how_many integer) returns void
language plpgsql as $$
begin
  insert into sim.answers
    select sim.now(), caller.user_id, called.answer, called.refused
    from (select c.user_id from sim.callers c order by random() limit how_many) caller, sim.call_status(caller.user_id) called;
end;
$$;

-- Every attacker writes something into their own row, as the frontend could, and some ask for their status.
create procedure sim.attack()
language plpgsql as $$
declare
  attacker record;
begin
  for attacker in select g.user_id, g.refresh_token, row_number() over () as place from sim.grants g where g.is_attacker loop
    perform set_config('request.jwt.claims', jsonb_build_object('sub', attacker.user_id, 'role', 'authenticated')::text, true);
    perform set_config('role', 'authenticated', true);
    case floor(random() * 6)::integer
      when 0 then update public.profiles set spotify_refresh_token = md5(random()::text),
        spotify_token_expires_at = sim.now() - interval '1 hour' where id = attacker.user_id;
      when 1 then update public.profiles set spotify_access_token = md5(random()::text), spotify_refresh_token = md5(random()::text),
        spotify_token_expires_at = sim.now() where id = attacker.user_id;
      when 2 then update public.profiles set spotify_access_token = 'mine', spotify_refresh_token = coalesce(attacker.refresh_token, 'mine'),
        spotify_connected_at = sim.now(), spotify_token_expires_at = sim.now() - random() * interval '1 day' where id = attacker.user_id;
      when 3 then update public.profiles set spotify_access_token = 'mine', spotify_refresh_token = coalesce(attacker.refresh_token, 'mine'),
        spotify_token_expires_at = '-infinity' where id = attacker.user_id;
      when 4 then update public.profiles set spotify_access_token = null, spotify_refresh_token = null, spotify_token_expires_at = null
        where id = attacker.user_id;
      else update public.profiles set spotify_refresh_token = coalesce(attacker.refresh_token, 'mine'),
        spotify_connected_at = sim.now() - random() * interval '2 years', spotify_token_expires_at = null where id = attacker.user_id;
    end case;
    perform set_config('role', 'none', true);
    if attacker.place <= 100 then
      perform sim.call_status(attacker.user_id);
    end if;
    commit;
  end loop;
end;
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Sweeps
-- ---------------------------------------------------------------------------------------------------------------

-- What happens while time passes. Null: never.
create table sim.timetable (
  observe_every interval not null,
  call_status_every interval,
  attack_every interval,
  next_status timestamptz,
  next_attack timestamptz
);

-- Procedures, which may commit: each claim, each record and each attacker's turn is a transaction of its own.
create procedure sim.advance(seconds double precision)
language plpgsql as $$
declare
  arrival timestamptz := sim.now() + make_interval(secs => seconds);
  stop timestamptz;
  timetable sim.timetable;
begin
  loop
    select * into timetable from sim.timetable;
    stop := least(arrival, timetable.next_status, timetable.next_attack);
    perform set_config('sim.epoch', extract(epoch from greatest(stop, sim.now()))::text, false);
    if (select sim.now() - c.observed_at >= timetable.observe_every from sim.clock c) then
      perform sim.observe();
    end if;
    if timetable.next_status <= sim.now() then
      perform sim.call_status_of_some(20);
      update sim.timetable set next_status = sim.now() + call_status_every;
    end if;
    if timetable.next_attack <= sim.now() then
      call sim.attack();
      update sim.timetable set next_attack = sim.now() + attack_every;
    end if;
    update sim.clock set epoch = current_setting('sim.epoch')::double precision;
    commit;
    exit when sim.now() >= arrival;
  end loop;
end;
$$;

create procedure sim.sweep(batch_size integer, seconds_per_call double precision)
language plpgsql as $$
declare
  began_at constant timestamptz := sim.now();
  ends_at constant timestamptz := began_at + interval '15 minutes';
  reply jsonb;
  claims integer;
  next_claim_in double precision;
  calls integer := 0;
begin
  loop
    reply := public.spotify_reconcile(5000);
    commit;
    exit when (reply ->> 'done')::boolean;
  end loop;
  perform public.spotify_clear_dead_grants('7 days', 500);
  commit;

  while sim.now() < ends_at loop
    reply := public.spotify_claim_due(batch_size, '40 minutes', '10 minutes', sim.now() - began_at);
    commit;
    claims := jsonb_array_length(reply -> 'claims');
    if claims > 0 then
      call sim.advance(claims * seconds_per_call);
      perform sim.settle(reply -> 'claims');
      commit;
      calls := calls + claims;
    else
      next_claim_in := (reply ->> 'next_claim_in')::double precision;
      exit when next_claim_in is null or sim.now() + make_interval(secs => next_claim_in) >= ends_at;
      call sim.advance(greatest(next_claim_in, 30));
    end if;
  end loop;

  reply := public.spotify_finish_sweep(true);
  perform sim.note_breaker(reply ->> 'breaker_open_seconds' is not null);
  insert into sim.sweeps values (began_at, sim.now(), calls, reply);
  commit;
end;
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Users
-- ---------------------------------------------------------------------------------------------------------------

-- Users as they are before the first sweep: their tokens have run out or are about to. Triggers bypassed: they were
-- there before the migrations.
create procedure sim.create_users(how_many integer)
language plpgsql as $$
begin
  set local session_replication_role = replica;
  insert into sim.grants (user_id, number, refresh_token)
    select md5('user ' || n)::uuid, n, 'refresh ' || n from generate_series(1, how_many) n;
  insert into public.profiles
    (id, spotify_access_token, spotify_refresh_token, spotify_token_expires_at, spotify_user_id, spotify_user_email, spotify_connected_at)
    select user_id, 'access', refresh_token, sim.now() + interval '1 hour' - random() * interval '2 days',
      'user' || number, number || '@example.com', sim.now() - interval '1 day' - random() * interval '150 days'
    from sim.grants order by user_id;
  insert into sim.clock values (current_setting('sim.epoch')::double precision, sim.now());
  commit;
end;
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- What came of it
-- ---------------------------------------------------------------------------------------------------------------

create function sim.count_not_connected() returns bigint
language sql as $$
  select count(*) from sim.grants g left join spotify_auth.connections c on c.user_id = g.user_id
  where g.dead_from > sim.now() and not g.is_attacker
    and coalesce(c.reauthorization_required_since is not null or c.expires_at <= sim.now()
      or g.wrongly_refused_at is not null and g.recovered_at is null, true);
$$;

-- Whether nobody is left whose grant is alive and who is not connected, and the breaker is closed.
create function sim.is_all_well() returns boolean
language sql as $$
  select sim.count_not_connected() = 0
    and not coalesce((select c.is_open from sim.breaker_changes c order by c.at desc, c.is_open limit 1), false);
$$;

-- Forgets what came of things so far, and who was refused falsely.
create function sim.begin_scenario() returns void
language sql as $$
  update sim.grants set refused_from = 'infinity', refused_until = 'infinity', wrongly_refused_at = null, wrongly_marked_at = null,
    recovered_at = null, told_seconds = 0, run_out_seconds = 0
    where refused_from < 'infinity' or told_seconds > 0 or run_out_seconds > 0;
  delete from sim.answers;
  delete from sim.callers;
  delete from sim.breaker_changes where at < (select max(at) from sim.breaker_changes);
$$;

create function sim.findings(since timestamptz) returns jsonb
language sql as $$
  with living as (
    select count(*) filter (where wrongly_marked_at is not null) as marked,
      count(*) filter (where told_seconds > 0) as told,
      coalesce(max(told_seconds), 0) / 60 as told_longest,
      sum(told_seconds) / 60 as told_sum,
      coalesce(max(run_out_seconds), 0) / 60 as run_out_longest,
      sum(run_out_seconds) / 60 as run_out_sum,
      count(*) filter (where wrongly_refused_at is not null) as refused,
      count(*) filter (where wrongly_refused_at is not null and recovered_at is null) as unrecovered,
      max(extract(epoch from recovered_at - refused_until)) filter (where wrongly_refused_at is not null) / 60 as recovered_after
    from sim.grants where not is_attacker
  ), dead as (
    select count(*) filter (where first_refused_at is not null) as refused,
      count(*) filter (where first_refused_at is not null and marked_at is null) as untold,
      count(*) filter (where marked_at > first_refused_at) as told_late,
      extract(epoch from percentile_cont(0.5) within group (order by marked_at - first_refused_at)) / 60 as told_after_median,
      extract(epoch from max(marked_at - first_refused_at)) / 60 as told_after_longest,
      extract(epoch from max(marked_at) - since) / 60 as last_told_at
    from sim.grants where dead_from < 'infinity' and not is_attacker
  ), breaker as (
    select extract(epoch from min(c.at) - since) / 60 as opened_at,
      extract(epoch from sum(coalesce(c.closed_at, sim.now()) - c.at)) / 60 as open_for,
      count(*) as openings,
      coalesce(bool_or(c.closed_at is null), false) as is_open
    from (select at, is_open, lead(at) over (order by at, is_open desc) as closed_at from sim.breaker_changes) c
    where c.is_open
  ), status as (
    select count(*) as calls,
      count(*) filter (where a.answer = 'reauthorization_required' and g.dead_from > a.at and not g.is_attacker
        and (g.refused_from > a.at or a.at > g.refused_until + interval '1 minute')) as wrong,
      count(*) filter (where a.answer = 'reauthorization_required' and g.dead_from > a.at and not g.is_attacker) as told,
      count(*) filter (where a.answer = 'refresh_failed' and g.first_refused_at < a.at - interval '1 hour' and not a.refused) as unexplained
    from sim.answers a join sim.grants g using (user_id)
  ), swept as (
    select count(*) as sweeps,
      count(*) filter (where (statistics ->> 'nearly_all_revoked')::boolean) as nearly_all_revoked,
      count(*) filter (where statistics ->> 'breaker_open_seconds' is not null) as breaker_open,
      max(calls) as calls_at_most
    from sim.sweeps where began_at >= since
  )
  select jsonb_build_object('living', to_jsonb(living), 'dead', to_jsonb(dead), 'breaker', to_jsonb(breaker),
    'status', to_jsonb(status), 'sweeps', to_jsonb(swept), 'not_connected', sim.count_not_connected())
  from living, dead, breaker, status, swept;
$$;
