import { expect, test } from '@jest/globals';

test('a test that tries to reach another machine fails with its name', async () => {
  const failure = await fetch('http://198.51.100.1/').catch((error) => error);

  expect(String(failure.cause)).toContain('tests must not reach 198.51.100.1');
});
