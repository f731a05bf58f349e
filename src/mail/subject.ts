/** The subject of a message: found in its header section, made readable (RFC 2047), cut into words. */
import { decodeWords } from 'postal-mime';

/** Characters of a subject kept; longer ones are cut. */
const MAX_SUBJECT = 1_000;
/** Words of one subject that can be searched for, and characters of each. */
const MAX_WORDS = 24;
const MAX_WORD = 40;

/**
 * The first Subject field of a header section given one byte a character, unfolded (RFC 5322 §2.2.3) and not
 * decoded; '' without one.
 */
export function findSubject(header: string): string {
  const match = /(?:^|\n)subject[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)/i.exec(header);
  if (match === null) return '';
  return (match[1] ?? '')
    .replace(/\r?\n|\0/g, '')
    .trim()
    .slice(0, MAX_SUBJECT);
}

/** Readable text: encoded words decoded, raw bytes taken for UTF-8, control characters gone. */
export function decodeSubject(raw: string): string {
  const text = /[\x80-\xff]/.test(raw) ? Buffer.from(raw, 'latin1').toString('utf8') : raw;
  const decoded = text.includes('=?') ? decodeWords(text) : text;
  return decoded.replace(/[\x00-\x1f\x7f]+/g, ' ').slice(0, MAX_SUBJECT);
}

/** Letters and digits in lower case without accents, each word once. The same for a subject and for what is asked. */
export function subjectWords(text: string): readonly string[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const words = plain.match(/[\p{L}\p{N}]+/gu) ?? [];
  return [...new Set(words.map((word) => word.slice(0, MAX_WORD)))].slice(0, MAX_WORDS);
}
