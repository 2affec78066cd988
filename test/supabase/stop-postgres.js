/** jest's global teardown for tests with a database. Several projects have it: the first one stops the server. */
export default async function stopPostgres() {
  await globalThis.sharedPostgres?.stop();
}
