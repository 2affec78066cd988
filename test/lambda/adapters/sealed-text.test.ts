import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openText, sealText } from '../../../lambda/adapters/sealed-text.ts';

const SECRET = 'a secret of thirty-two characters';

describe('a sealed text', () => {
  test('is what was sealed, once opened', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uuid(), fc.string(), (text, userId, secret) => {
        expect(openText(sealText(text, userId, secret), userId, secret)).toBe(text.toWellFormed());
      }),
    );
  });

  test('opens although another release has sealed it: messages outlive a deployment', () => {
    const sealed = 'v1.hQgPlKMPdZztk2AJ.mCvcO_NJ.PJKb06czRSFHj10XeheAFA';
    expect(openText(sealed, 'user', SECRET)).toBe('a text');
  });

  test('is never twice the same, and says how it was sealed', () => {
    const [one, other] = [sealText('text', 'user', SECRET), sealText('text', 'user', SECRET)];
    expect(one).not.toBe(other);
    expect([one, other].map((sealed) => sealed.split('.')[0])).toEqual(['v1', 'v1']);
  });

  test('opens for its user alone', () => {
    expect(openText(sealText('text', 'user', SECRET), 'another user', SECRET)).toBeNull();
  });

  test('opens with its secret alone', () => {
    expect(openText(sealText('text', 'user', SECRET), 'user', `${SECRET}.`)).toBeNull();
  });

  test('does not open once a bit of it has changed', () => {
    const [version, ...parts] = sealText('a text of some length', 'user', SECRET).split('.');
    for (const [index, part] of parts.entries()) {
      const bytes = Buffer.from(part, 'base64url');
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const tampered = Buffer.from(bytes);
        tampered[bit >> 3] = (tampered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const sealed = [version, ...parts.with(index, tampered.toString('base64url'))].join('.');
        expect(openText(sealed, 'user', SECRET)).toBeNull();
      }
    }
  });

  test.each([
    ['of another version', (sealed: string) => sealed.replace('v1', 'v2')],
    ['cut off', (sealed: string) => sealed.slice(0, sealed.lastIndexOf('.'))],
    ['with a shorter tag', (sealed: string) => sealed.slice(0, -6)],
    ['of nothing', () => ''],
  ])('does not open %s', (_name, change) => {
    expect(openText(change(sealText('text', 'user', SECRET)), 'user', SECRET)).toBeNull();
  });
});
