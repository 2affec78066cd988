-- 2 of 13: the history of each connection, for the question "why am I asked to reconnect?"
--
-- Only changes of a connection's state are written: repeated refreshes write nothing.

begin;
set local lock_timeout = '2s';
set local search_path = pg_catalog, pg_temp;

-- The foreign key refers to the queue row and not to the profile: writers have already locked that row, so
-- this takes no further lock. Deleting the profile deletes the queue row, and with it the history.
create table spotify_auth.changes (
  user_id uuid not null references spotify_auth.connections (user_id) on delete cascade,
  number bigint generated always as identity,
  changed_at timestamptz not null default now(),
  change text not null check (change in ('authorized', 'reconnected', 'incomplete', 'refreshed', 'held',
    'revoked', 'recovered', 'restored', 'told', 'cleared', 'disconnected', 'refused')),
  reason text,
  primary key (user_id, number)
);
create index changes_by_age on spotify_auth.changes (changed_at);
alter table spotify_auth.changes enable row level security;
revoke all on table spotify_auth.changes from public, anon, authenticated, service_role;
revoke all on sequence spotify_auth.changes_number_seq from public, anon, authenticated, service_role;

comment on table spotify_auth.changes is
$$The history of each connection: the changes of the last 90 days, at most 100 per connection.

  authorized    the user connected Spotify
  reconnected   the user connected Spotify again, or new tokens came from outside for a dead or held grant
  incomplete    an access token was stored without a refresh token: the user has to reconnect
  refreshed     this system refreshed it for the first time since the user connected
  held          Spotify refused the grant, and was not, or no longer, believed
  revoked       Spotify refused the grant, and was believed: the user has to reconnect
  recovered     Spotify accepted a grant again that was held or marked dead
  restored      an operator undid the mark
  told          an event about it was sent to other teams
  cleared       the tokens of the dead grant were removed
  disconnected  the user disconnected Spotify
  refused       Bondhu's schema rejected tokens$$;
comment on column spotify_auth.changes.number is
  'Orders simultaneous changes.';
comment on column spotify_auth.changes.reason is
$$Details. Null: none.

  held, revoked  Spotify's reason: expired, revoked, invalid, unknown
  told           the event: reauthorization_required, or due_in_30_days, due_in_7_days, due_in_1_days
  refused        the SQLSTATE, and the name of the constraint if it was one$$;

-- The next two functions run once per row, and sessions keep their plans. Without sequential scans, a plan
-- that was made for a small table stays good when Spotify suddenly refuses every grant and the table grows.
create function spotify_auth.add_change(of_user uuid, change text, reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
  insert into spotify_auth.changes (user_id, change, reason)
    values (add_change.of_user, add_change.change, add_change.reason);
  -- Users may change their own profile as often as they like, which must not fill the disk.
  delete from spotify_auth.changes c
    where c.user_id = add_change.of_user and c.number <= (
      select old.number from spotify_auth.changes old where old.user_id = add_change.of_user
      order by old.number desc offset 100 limit 1);
end;
$$;
revoke all on function spotify_auth.add_change(uuid, text, text)
  from public, anon, authenticated, service_role;
comment on function spotify_auth.add_change is
  'Adds to the history of a connection whose row the caller has locked, and keeps its last 100 changes.';

create function spotify_auth.on_connection_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  change text;
begin
  if tg_op = 'INSERT' then
    change := case
      when new.reauthorization_reason is not null then 'incomplete'
      -- Older ones date from before this system.
      when new.authorized_at > now() - interval '1 hour' then 'authorized' end;
  else
    change := case
      when old.held_since is null and new.held_since is not null then 'held'
      when new.reauthorization_reason is distinct from old.reauthorization_reason
        and new.reauthorization_reason is not null then
        case new.reauthorization_reason when 'grant_revoked' then 'revoked' else 'incomplete' end
      when old.tokens_cleared_at is null and new.tokens_cleared_at is not null then 'cleared'
      when new.reauthorization_reason is not null then null
      when new.due_at is null then
        case when old.due_at is not null or old.reauthorization_reason is not null then 'disconnected' end
      -- Spotify returned tokens: all of them, or only the refresh token, which counts as a failure.
      when new.refreshes > old.refreshes or new.failures > old.failures then case
        when old.reauthorization_reason is not null or old.held_since is not null then 'recovered'
        -- If the history does not mention it, the user connected before this system existed.
        when old.refreshes = 0 and new.refreshes > 0 and exists (
          select from spotify_auth.changes c where c.user_id = new.user_id) then 'refreshed' end
      -- A write from outside would have cleared Spotify's reason.
      when old.reauthorization_reason is not null and new.revocation_reason is not null then 'restored'
      when old.authorized_at is null and old.refreshed_at is null and new.authorized_at is not null
        then 'authorized'
      when old.due_at is null or old.held_since is not null
        or new.authorized_at is distinct from old.authorized_at and new.authorized_at is not null
        then 'reconnected' end;
  end if;
  if change is not null then
    perform spotify_auth.add_change(new.user_id, change,
      case when change in ('held', 'revoked') then new.revocation_reason end);
  end if;
  return null;
end;
$$;
revoke all on function spotify_auth.on_connection_change() from public, anon, authenticated, service_role;
comment on function spotify_auth.on_connection_change is
  'Trigger: adds changes of a connection''s state, but not ordinary refreshes, to its history.';

create trigger connection_inserted
  after insert on spotify_auth.connections for each row
  execute function spotify_auth.on_connection_change();

-- Claims update none of these columns, and a refresh like the one before it meets none of the conditions:
-- neither calls the function.
create trigger connection_updated
  after update of held_since, reauthorization_reason, tokens_cleared_at, authorized_at
  on spotify_auth.connections for each row
  when ((old.held_since is null) <> (new.held_since is null)
    or old.reauthorization_reason is distinct from new.reauthorization_reason
    or (old.tokens_cleared_at is null) <> (new.tokens_cleared_at is null)
    or (old.due_at is null) <> (new.due_at is null)
    or old.authorized_at is distinct from new.authorized_at
    or (old.refreshes = 0 and new.refreshes > 0))
  execute function spotify_auth.on_connection_change();

commit;
