import { expect, test } from '@jest/globals';
import { Tally } from '../../../lambda/sweeper/tally.ts';

test('a grant that was found dead before is not counted as revoked again', () => {
  const tally = new Tally();
  tally.count({ kind: 'revoked', reason: 'revoked' }, 'applied');
  tally.count({ kind: 'revoked', reason: 'revoked' }, 'confirmed');
  expect(tally.counts()).toMatchObject({ revoked: 1, total: 1 });
});

test('what is held or refused has failed for now', () => {
  const tally = new Tally();
  tally.count({ kind: 'revoked', reason: 'revoked' }, 'held');
  tally.count({ kind: 'refreshed', accessToken: 'access', expiresInSeconds: 3_600 }, 'refused');
  expect(tally.counts()).toMatchObject({ failed: 2, revoked: 0, refreshed: 0, total: 2 });
});
