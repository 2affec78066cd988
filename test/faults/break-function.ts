/** Runs SQL as the owner of the functions. */
type RunSql = (text: string, values?: readonly unknown[]) => Promise<object[]>;

/**
 * Takes a rule out of one of the database's functions, to see that a test which relies on the rule notices.
 *
 * @throws where the function does not contain the text: then the rule is written differently by now
 */
export async function breakFunction(
  runSql: RunSql,
  name: string,
  rule: string,
  replacement: string,
): Promise<void> {
  const [row] = (await runSql(
    'select pg_get_functiondef(p.oid) as text from pg_proc p where p.proname = $1',
    [name],
  )) as [{ text: string }];
  if (!row.text.includes(rule)) throw new Error(`${name} does not contain ${JSON.stringify(rule)}`);
  await runSql(row.text.replaceAll(rule, replacement));
}
