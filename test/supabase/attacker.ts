import pg from 'pg';
import { runSql } from '../../stand-ins/supabase/postgres.ts';
import type { TestDatabase } from './database.ts';

/** What an attacker creates under names that our functions use, and where. */
export type Weapon = {
  readonly kind: 'types' | 'relations' | 'functions and operators';
  readonly schema: 'pg_temp' | 'attackers_own' | 'public';
};

/** Functions and operators in pg_temp are found by qualified names only: those are no weapon. */
export const weapons: readonly Weapon[] = [
  { kind: 'types', schema: 'pg_temp' },
  { kind: 'types', schema: 'attackers_own' },
  { kind: 'types', schema: 'public' },
  { kind: 'relations', schema: 'pg_temp' },
  { kind: 'relations', schema: 'attackers_own' },
  { kind: 'relations', schema: 'public' },
  { kind: 'functions and operators', schema: 'attackers_own' },
  { kind: 'functions and operators', schema: 'public' },
];

/**
 * Everything that is created as a weapon calls this. It says so where it runs with the rights of somebody else, in a
 * message to the client: nothing that is rolled back or forbidden can swallow it. Its own search path keeps it from being
 * hit by its own weapons.
 */
const strike = `
  create function attackers_own.strike() returns pg_catalog.bool
  language plpgsql set search_path = pg_catalog, pg_temp as $$
  begin
    if current_user <> session_user then raise warning 'ran as %', current_user; end if;
    return true;
  end;
  $$`;

/** A signed-in user who also has an SQL session, with a schema of its own, or with all of public as on old projects. */
export class Attacker {
  readonly userId: string;
  readonly #database: TestDatabase;
  readonly #clients: pg.Client[] = [];
  #hasForgedForGood = false;

  private constructor(database: TestDatabase, userId: string) {
    this.#database = database;
    this.userId = userId;
  }

  static async enlist(
    database: TestDatabase,
    { mayCreateInPublic }: { readonly mayCreateInPublic: boolean },
  ) {
    await runSql(
      database.urls.superuserUrl,
      `do $$ begin create role attacker login inherit; exception when duplicate_object then null; end $$;
      grant authenticated to attacker;
      create schema attackers_own authorization attacker;
      ${mayCreateInPublic ? 'grant create on schema public to attacker;' : ''}
      set role attacker;
      grant usage on schema attackers_own to public;
      ${strike}`,
    );
    return new Attacker(database, await database.createUser());
  }

  /** A session without weapons. */
  async connect(): Promise<Session> {
    const url = new URL(this.#database.urls.superuserUrl);
    url.username = 'attacker';
    const client = new pg.Client({ connectionString: url.href });
    // The server may end it first.
    client.on('error', () => {});
    await client.connect();
    this.#clients.push(client);
    await client.query(`select set_config('request.jwt.claims', $1, false)`, [
      JSON.stringify({ sub: this.userId, role: 'authenticated' }),
    ]);
    return new Session(client);
  }

  /** A session in which the weapon lies ready, and is found before anything else of the same name. */
  async connectArmed(weapon: Weapon): Promise<Session> {
    const session = await this.connect();
    if (weapon.schema === 'pg_temp' || !this.#hasForgedForGood) {
      await session.query((await this.#forge(weapon)).join(';\n'));
      this.#hasForgedForGood = weapon.schema !== 'pg_temp';
    }
    await session.query('set search_path = attackers_own, public, pg_catalog');
    return session;
  }

  async leave(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()));
  }

  async #forge({ kind, schema }: Weapon): Promise<string[]> {
    const queries = {
      types: [domains, records],
      relations: [views],
      'functions and operators': [functions, operators],
    }[kind];
    const statements: string[] = [];
    for (const query of queries) {
      const rows = await this.#database.owner<{ statement: string }>(query, [schema]);
      statements.push(...rows.map(({ statement }) => statement));
    }
    return statements;
  }
}

/** One connection of the attacker. */
export class Session {
  readonly #client: pg.Client;
  readonly #warnings = new Set<string>();

  constructor(client: pg.Client) {
    this.#client = client;
    client.on('notice', ({ message }) => this.#warnings.add(message ?? ''));
  }

  async query<Row extends object>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(sql, [...values])).rows;
  }

  /** Runs one statement, takes it back, and returns its only value, or the SQLSTATE that it failed with. */
  async tryOut(sql: string, values: readonly unknown[]): Promise<{ result: unknown } | { code: string }> {
    await this.query('begin');
    try {
      const [row] = await this.query<{ result: unknown }>(sql, values);
      return { result: row?.result };
    } catch (error) {
      return { code: (error as { code: string }).code };
    } finally {
      await this.query('rollback');
    }
  }

  /** Under whose rights, other than its own, code of the attacker ran since the last question. */
  takeRightsOfOthers(): string[] {
    const found = [...this.#warnings].filter((warning) => warning.startsWith('ran as'));
    this.#warnings.clear();
    return found;
  }
}

/** Each type that SQL can name, those that it names in several words or by another name included. */
const domains = `
  with alias (name, type) as (values
    ('int', 'int4'), ('integer', 'int4'), ('bigint', 'int8'), ('smallint', 'int2'), ('boolean', 'bool'), ('real', 'float4'),
    ('float', 'float8'), ('double precision', 'float8'), ('decimal', 'numeric'), ('dec', 'numeric'), ('character', 'bpchar'),
    ('character varying', 'varchar'), ('timestamp with time zone', 'timestamptz'), ('timestamp without time zone', 'timestamp'),
    ('time with time zone', 'timetz'))
  select format('create domain %s.%I as pg_catalog.%I check (attackers_own.strike())', $1::text, name, type) as statement
  from (
    select typname as name, typname as type from pg_type
      where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm') and typcategory <> 'A'
    union all select name, type from alias) named`;

/** Not one column's name has to fit: an assignment to a record variable goes by position. */
const records = `
  select format('create type %1$s.record as (%2$s)', $1::text,
    string_agg(format('field_%s %s.text', number, $1::text), ', ')) as statement
  from generate_series(1, 8) number`;

/** A view for each table and view, with one row of nulls; text stands for what a view outside pg_catalog cannot have. */
const views = `
  select format('create view %1$s.%2$I as select %3$s where attackers_own.strike(); grant all on %1$s.%2$I to public', $1::text, c.relname, (
    select string_agg(format('null::%s as %I', case when t.typtype = 'p' or t.oid = 'pg_statistic[]'::regtype then 'text' else format_type(t.oid, null) end, a.attname), ', ' order by a.attnum)
    from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)) as statement
  from pg_class c
  where c.relkind in ('r', 'v') and c.relnamespace::regnamespace::text in ('pg_catalog', 'spotify_auth', 'auth', 'public')
    and not ($1 = 'public' and c.relnamespace = 'public'::regnamespace)`;

/** Every word that stands in one of our functions or views. */
const words = `
  select distinct word from (
    select pg_get_functiondef(oid) as code from pg_proc where prokind = 'f'
      and (pronamespace = 'spotify_auth'::regnamespace or pronamespace = 'public'::regnamespace and proname like 'spotify\\_%')
    union all
    select pg_get_viewdef(oid) from pg_class where relnamespace = 'spotify_auth'::regnamespace and relkind in ('v', 'm')) source,
    regexp_split_to_table(code, '\\W+') word`;

const polymorphic = `('anyelement', 'anyarray', 'anynonarray', 'anycompatible', 'anycompatiblearray', 'anycompatiblenonarray', 'any')`;

/**
 * The functions of pg_catalog that ours name, with the same arguments; and those that take any type once more for some
 * types that ours have, which fits better than the original.
 */
const functions = `
  with original as (
    select p.oid, p.proname, p.prokind, p.proretset, p.provariadic <> 0 as is_variadic, element,
      array(select case
          when t.typname in ('anyarray', 'anycompatiblearray') then '_' || element
          when t.typname in ${polymorphic} then element
          else t.typname end
        from unnest(p.proargtypes::oid[]) with ordinality argument (type, position) join pg_type t on t.oid = type order by position) as arguments,
      case when r.typname in ('anyarray', 'anycompatiblearray') then '_' || element when r.typname in ${polymorphic} then element else r.typname end as result
    from pg_proc p join pg_type r on r.oid = p.prorettype,
      unnest(array['uuid', 'text', 'timestamptz', 'interval', 'jsonb', 'int4', 'float8']) element
    where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'a', 'w') and p.proname in (${words})
      and (r.typtype <> 'p' or r.typname in ${polymorphic} or r.typname = 'record')
      and not exists (select from unnest(p.proargtypes::oid[]) type join pg_type t on t.oid = type
        where t.typtype = 'p' and t.typname not in ${polymorphic} or t.typname like '\\_\\_%')
  ), signature as (
    select distinct on (proname, arguments) * from original order by proname, arguments, element
  )
  select format('create function %s.%I(%s) returns %s pg_catalog.%I language plpgsql as $$ begin perform attackers_own.strike(); return %s; end $$',
    $1::text, proname,
    (select string_agg('pg_catalog.' || quote_ident(argument), ', ' order by position) from unnest(arguments) with ordinality as list (argument, position)),
    case when proretset then 'setof' end, result,
    case when proretset then '' when prokind = 'f' and not is_variadic then format('pg_catalog.%I(%s)', proname,
        (select string_agg('$' || position, ', ') from generate_series(1, cardinality(arguments)) position))
      else 'null' end) as statement
  from signature`;

/** The operators between types that ours have. Each still gives the right answer. */
const operators = `
  with typed as (
    select o.oid, o.oprname, l.typname as left_type, r.typname as right_type, result.typname as result
    from pg_operator o join pg_type l on l.oid = o.oprleft join pg_type r on r.oid = o.oprright join pg_type result on result.oid = o.oprresult
    where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprcode <> 0 and result.typtype <> 'p'
      and array[l.typname, r.typname] <@ array['bool', 'int2', 'int4', 'int8', 'float8', 'numeric', 'text', 'name', 'uuid', 'tid', 'oid',
        'timestamptz', 'interval', 'jsonb', '_text', 'anyarray', 'anycompatiblearray', 'anycompatible']::name[])
  select format('create function %1$s.operator_%2$s(pg_catalog.%3$I, pg_catalog.%4$I) returns pg_catalog.%5$I language plpgsql as '
      || '$$ begin perform attackers_own.strike(); return $1 operator(pg_catalog.%6$s) $2; end $$; '
      || 'create operator %1$s.%6$s (function = %1$s.operator_%2$s, leftarg = pg_catalog.%3$I, rightarg = pg_catalog.%4$I)',
    $1::text, oid, left_type, right_type, result, oprname) as statement
  from typed`;
