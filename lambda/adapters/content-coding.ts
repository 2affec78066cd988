import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';

/** Content is compressed once, or twice by a proxy; more codings only serve to keep us busy. */
const MOST_CODINGS = 4;

const OPENING_BRACE = 0x7b;

/** The method in the lower half of the first byte of zlib's format (RFC 1950). */
const ZLIB_DEFLATE = 8;

/** The content before it was compressed. */
export type UnpackedContent = {
  readonly bytes: Buffer;
  /** There is more of it than the limit. */
  readonly isTooLong: boolean;
};

/**
 * Decodes content that is a JSON object (RFC 9110, section 8.4). Content that breaks off is decoded as far
 * as it arrived, and content in an unknown coding stays as it is.
 *
 * @param contentEncoding the header
 * @param longest bytes after which decoding stops
 */
export async function unpackContent(
  content: Buffer,
  contentEncoding: string | undefined,
  longest: number,
): Promise<UnpackedContent> {
  // The last coding was applied last, so it is removed first.
  const codings = contentEncoding?.toLowerCase().split(',').reverse().slice(0, MOST_CODINGS) ?? [];
  let unpacked: UnpackedContent = { bytes: content, isTooLong: false };
  for (const coding of codings) {
    const { bytes } = unpacked;
    // No coding makes an object start with its brace: a proxy has decoded it and left the header.
    const decoder = bytes[0] === OPENING_BRACE ? null : createDecoder(coding.trim(), bytes);
    unpacked = decoder === null ? unpacked : await unpack(bytes, decoder, longest);
  }
  return unpacked;
}

function createDecoder(coding: string, [firstByte = 0]: Buffer): Transform | null {
  // If the content ends before its coding does, zlib returns what there is, without an error.
  const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return zlib.createGunzip(options);
    case 'deflate':
      // This means zlib's format, but some servers omit its header.
      return (firstByte & 0x0f) === ZLIB_DEFLATE
        ? zlib.createInflate(options)
        : zlib.createInflateRaw(options);
    case 'br':
      return zlib.createBrotliDecompress({ finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH });
    case 'zstd':
      return zlib.createZstdDecompress({ finishFlush: zlib.constants.ZSTD_e_flush });
    default:
      return null;
  }
}

function unpack(packed: Buffer, decoder: Transform, longest: number): Promise<UnpackedContent> {
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve) => {
    decoder.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > longest) {
        decoder.destroy();
      }
    });
    // Damaged content loses the piece that holds the damage: if it is short, all of it.
    decoder.on('error', () => {});
    decoder.on('close', () => resolve({ bytes: Buffer.concat(chunks), isTooLong: length > longest }));
    decoder.end(packed);
  });
}
