import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** One breach of a rule; `line` counts from 1. */
export type Finding = { readonly line: number; readonly rule: string; readonly advice: string };

const MAX_LINE_LENGTH = 110;

/** In every migration, right after the comment that it begins with. */
const FIRST_STATEMENTS = [
  { rule: 'transaction', sql: 'begin;' },
  { rule: 'lock-timeout', sql: "set local lock_timeout = '2s';" },
  { rule: 'search-path', sql: 'set local search_path = pg_catalog, pg_temp;' },
];

/** Comments, strings, quoted names, and the text of a `comment on` in dollar quotes; the body of a function is code. */
const PROSE = /--[^\n]*|\/\*.*?\*\/|'(?:[^']|'')*'|"[^"]*"|(?<=\bis\s+)\$\$.*?\$\$/gs;

/** Applies the rules for any SQL file. */
export function lintText(sql: string): Finding[] {
  const code = blankOutProse(sql).split('\n');
  return sql.split('\n').flatMap((text, index) => {
    const line = index + 1;
    const upperCase = /\w*[A-Z]\w*/.exec(code[index] ?? '')?.[0];
    return [
      ...(text.length > MAX_LINE_LENGTH
        ? [{ line, rule: 'line-length', advice: `wrap ${text.length} characters to ${MAX_LINE_LENGTH}` }]
        : []),
      ...(text.includes('\t') ? [{ line, rule: 'tab', advice: 'indent with spaces' }] : []),
      ...(/[ \t]$/.test(text) ? [{ line, rule: 'trailing-blank', advice: 'remove blanks at the end' }] : []),
      ...(upperCase ? [{ line, rule: 'lower-case', advice: `write ${upperCase.toLowerCase()}` }] : []),
    ];
  });
}

/** Applies the rules for a migration, which is file number `place` of `total`, counted from 1. */
export function lintMigration(sql: string, place: number, total: number): Finding[] {
  return [...lintText(sql), ...lintFrame(sql, place, total), ...lintCreated(blankOutProse(sql))];
}

/**
 * Each file says which one it is, and is a transaction that neither waits long for a lock nor trusts a search path.
 * A published file is never edited, so it may name the smaller number of files that there were then.
 */
function lintFrame(sql: string, place: number, total: number): Finding[] {
  const findings: Finding[] = [];
  const [, itsPlace, itsTotal] = /^-- (\d+) of (\d+): \S/.exec(sql) ?? [];
  if (Number(itsPlace) !== place || !(Number(itsTotal) >= place && Number(itsTotal) <= total)) {
    findings.push({
      line: 1,
      rule: 'heading',
      advice: `begin with "-- ${place} of ${total}: " and the topic`,
    });
  }
  const lines = sql.split('\n');
  const begin = lines.findIndex((line) => line !== '' && !line.startsWith('--'));
  for (const [offset, { rule, sql: statement }] of FIRST_STATEMENTS.entries()) {
    if (lines[begin + offset] === statement) continue;
    findings.push({ line: begin + offset + 1, rule, advice: `write "${statement}" on this line` });
  }
  if (!sql.endsWith('\ncommit;\n')) {
    findings.push({
      line: sql.trimEnd().split('\n').length,
      rule: 'commit',
      advice: 'end with "commit;" on a line of its own',
    });
  }
  return findings;
}

/** Each object is explained in its file; each function is closed there, because default privileges may open it. */
function lintCreated(code: string): Finding[] {
  const created = code.matchAll(/^ *create (?:or replace )?(function|view|table|type) ([\w.]+)/gm);
  return [...created].flatMap(({ 1: kind, 2: name, index }) => {
    const line = code.slice(0, index).split('\n').length;
    const isMissing = (words: string) => {
      const pattern = words.replace(/[.(]/g, '\\$&').replaceAll(' ', '\\s+');
      return !new RegExp(`^ *${pattern}`, 'm').test(code.slice(index));
    };
    const comment = `comment on ${kind} ${name} is`;
    const revoke = `revoke all on function ${name}(`;
    return [
      ...(isMissing(comment) ? [{ line, rule: 'comment', advice: `add "${comment} ..." below` }] : []),
      ...(kind === 'function' && isMissing(revoke)
        ? [{ line, rule: 'revoke', advice: `add "${revoke}...) from ..." below` }]
        : []),
    ];
  });
}

/** The SQL with blanks in place of all that is not code, so that each line keeps its number. */
function blankOutProse(sql: string): string {
  return sql.replace(PROSE, (text) => text.replace(/[^\n]/g, ' '));
}

if (import.meta.main) {
  const read = (file: string) => readFileSync(path.join(import.meta.dirname, file), 'utf8');
  const listFiles = (folder: string) => globSync(`${folder}/*.sql`, { cwd: import.meta.dirname }).sort();
  const migrations = listFiles('migrations');
  const reports = [
    ...migrations.map(
      (file, index) => [file, lintMigration(read(file), index + 1, migrations.length)] as const,
    ),
    ...listFiles('optional').map((file) => [file, lintText(read(file))] as const),
  ];
  for (const [file, findings] of reports) {
    for (const { line, rule, advice } of findings) {
      process.stderr.write(`supabase/${file}:${line} ${rule}: ${advice}\n`);
      process.exitCode = 1;
    }
  }
}
