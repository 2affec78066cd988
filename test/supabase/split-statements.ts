/** One piece of SQL text that has no semicolon which ends a statement: quoted, a comment, a word, or any character. */
const piece =
  /\$(?<tag>[a-z_]*)\$.*?\$\k<tag>\$|'(?:[^']|'')*'|"[^"]*"|--[^\n]*|\/\*.*?\*\/|(?<word>[a-z_][a-z_0-9$]*)|./gis;

/**
 * Splits SQL text into its statements as psql does, each without its semicolon. The body of a function in standard SQL
 * (`begin atomic ... end`) stays in one piece. Comments between statements belong to the next one.
 */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let statement = '';
  let words: string[] = [];
  let depth = 0;
  for (const { 0: text, groups } of sql.matchAll(piece)) {
    if (text === ';' && depth === 0) {
      statements.push(statement.trim());
      statement = '';
      words = [];
      continue;
    }
    statement += text;
    const word = groups?.['word']?.toLowerCase();
    if (word === undefined) continue;
    words.push(word);
    const isRoutine =
      words[0] === 'create' && /^(or replace )?(function|procedure)/.test(words.slice(1, 4).join(' '));
    if (!isRoutine) continue;
    if (word === 'begin' || (depth > 0 && word === 'case')) depth += 1;
    if (depth > 0 && word === 'end') depth -= 1;
  }
  if (words.length > 0) statements.push(statement.trim());
  return statements;
}
