import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const VERSION = 'v1';
const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts a text with AES-256-GCM (NIST SP 800-38D), so that only holders of the secret can read it, and only as
 * belonging to this user.
 *
 * @param userId the associated data: not part of the result, and needed to decrypt it
 * @returns `v1.<nonce>.<ciphertext>.<tag>`, the parts in base64url
 */
export function sealText(text: string, userId: string, secret: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, deriveKey(secret), nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(userId));
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  const parts = [nonce, ciphertext, cipher.getAuthTag()];
  return [VERSION, ...parts.map((part) => part.toString('base64url'))].join('.');
}

/** The text that {@link sealText} encrypted; null if it was encrypted otherwise, with another secret or for another user. */
export function openText(sealed: string, userId: string, secret: string): string | null {
  const [version, ...encoded] = sealed.split('.');
  const [nonce, ciphertext, tag] = encoded.map((part) => Buffer.from(part, 'base64url'));
  if (version !== VERSION || nonce?.length !== NONCE_BYTES || tag?.length !== TAG_BYTES || !ciphertext) {
    return null;
  }
  const decipher = createDecipheriv(ALGORITHM, deriveKey(secret), nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(userId));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}

/** The secret is text; a key has as many bytes as the cipher takes (RFC 5869). */
function deriveKey(secret: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', 'spotify-auth rescue queue', KEY_BYTES));
}
