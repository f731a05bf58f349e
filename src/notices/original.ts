import type { BodyReader } from '../storage/contract.ts';

/** What a notice takes of the original's header at most; cut at the end of a line. */
export const ORIGINAL_HEADER_LIMIT_BYTES = 64 * 1024;

/** A longer message is not brought back whole, whatever RET says; this is what other servers allow as well. */
export const WHOLE_LIMIT_BYTES = 50_000;

/** What a notice brings back of the message it is about; octets as `latin1` characters. */
export interface Original {
  /** Header section, CRLF-ended; '' when it could not be read. */
  readonly header: string;
  /** The whole message, when it was asked for and can be had. */
  readonly whole: string | null;
  /**
   * Why it is not here although it was asked for: too large; not in the form of mail, or in letters that the way
   * back cannot carry; not to leave this server without TLS.
   */
  readonly omitted: 'size' | 'form' | 'tls' | null;
}

const FIELD_START = /^[!-9;-~]+[ \t]*:/;

/**
 * The header section of a stored message: the lines CMail added, then the message's own, CRLF-ended, at most
 * `ORIGINAL_HEADER_LIMIT_BYTES`. Bytes are kept as `latin1` characters. Reads no more of the body than that.
 */
export async function readOriginalHeader(added: string, body: BodyReader | null): Promise<string> {
  let text = Buffer.from(added, 'utf8').toString('latin1');
  if (body !== null) {
    for await (const chunk of body.chunks()) {
      const room = Math.max(0, ORIGINAL_HEADER_LIMIT_BYTES + 1 - text.length);
      text += Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, room)).toString('latin1');
      if (text.length > ORIGINAL_HEADER_LIMIT_BYTES || text.includes('\r\n\r\n')) break;
    }
  }
  return headerSection(text);
}

/** Why a message cannot be brought back whole in a notice; `utf8` says whether that may hold headers in UTF-8. */
function misfit(text: string, utf8: boolean): 'form' | null {
  if (/\0|\r(?!\n)|(?<!\r)\n|[^\r\n]{999}/.test(text)) return 'form';
  const header = headerSection(text);
  return utf8 || /^[\x00-\x7f]*$/.test(header) ? null : 'form';
}

/** The stored message whole, within `WHOLE_LIMIT_BYTES`, and otherwise its header alone. */
export async function readOriginal(added: string, body: BodyReader, utf8: boolean): Promise<Original> {
  const lines = Buffer.from(added, 'utf8').toString('latin1');
  if (lines.length + body.sizeBytes > WHOLE_LIMIT_BYTES)
    return { header: await readOriginalHeader(added, body), whole: null, omitted: 'size' };
  let whole = lines;
  for await (const chunk of body.chunks()) {
    whole += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
  }
  if (!whole.endsWith('\r\n')) whole += '\r\n';
  const header = headerSection(whole);
  const omitted = misfit(whole, utf8);
  return { header, whole: omitted === null ? whole : null, omitted };
}

/** Lines up to the blank one, or to one that cannot belong to a header, within the limit. */
export function headerSection(text: string): string {
  let whole = text;
  if (text.length > ORIGINAL_HEADER_LIMIT_BYTES) {
    const cut = text.slice(0, ORIGINAL_HEADER_LIMIT_BYTES);
    whole = cut.slice(0, cut.lastIndexOf('\n') + 1);
  }
  let header = '';
  for (const line of whole.split(/\r\n|\r|\n/)) {
    const continues = header !== '' && /^[ \t]/.test(line);
    if (!continues && !FIELD_START.test(line)) break;
    header += `${line}\r\n`;
  }
  return header;
}

/** The value of the first field of that name, unfolded, as UTF-8 text; undefined without one. */
export function originalField(header: string, name: string): string | undefined {
  const lines = header.split('\r\n');
  const prefix = `${name.toLowerCase()}:`;
  const at = lines.findIndex((line) =>
    line
      .toLowerCase()
      .replace(/[ \t]+:/, ':')
      .startsWith(prefix),
  );
  if (at < 0) return undefined;
  let value = (lines[at] ?? '').replace(/^[^:]*:/, '');
  for (let next = at + 1; /^[ \t]/.test(lines[next] ?? ''); next += 1) value += lines[next];
  return Buffer.from(value, 'latin1').toString('utf8').trim();
}

/** Decodes the encoded-words of a field (RFC 2047) for people; what cannot be decoded stays as it is. */
export function decodeWords(value: string): string {
  return value
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(
      /=\?([^?*]+)[^?]*\?([bq])\?([^?]*)\?=/gi,
      (word, charset: string, encoding: string, data: string) => {
        const bytes =
          encoding.toLowerCase() === 'b'
            ? Buffer.from(data, 'base64')
            : Buffer.from(
                data
                  .replace(/_/g, ' ')
                  .replace(/=([0-9a-f]{2})/gi, (_, hex: string) =>
                    String.fromCharCode(Number.parseInt(hex, 16)),
                  ),
                'latin1',
              );
        try {
          return new TextDecoder(charset).decode(bytes);
        } catch {
          // A character set nobody knows.
          return word;
        }
      },
    );
}
