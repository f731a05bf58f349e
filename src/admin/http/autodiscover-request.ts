/**
 * The request of Autodiscover in its plain XML form ([MS-OXDSCLI]): an `Autodiscover` with one `Request` in
 * it, whose elements hold text. Anything else is refused rather than parsed: no DOCTYPE, so no entities but those
 * that XML has itself; no comments, CDATA, instructions or deeper elements.
 */
import { failed, ok, type Result } from '../../mail/failure.ts';

export interface AutodiscoverRequest {
  /** As it was sent; '' when there is none. */
  readonly address: string;
  /** Which form of answer is wanted; '' when the request does not say. */
  readonly schema: string;
}

/** More than any program sends. */
const MAX_ELEMENTS = 20;
/** Each pattern is anchored and has one way to match, so reading takes time in the length of the text. */
const START = /^(?:<\?xml\s[^<>]*\?>\s*)?<Autodiscover(?:\s[^<>]*)?>\s*<Request(?:\s[^<>]*)?>/;
const ELEMENT = /\s*<([A-Za-z]{1,50})(?:\s[^<>]*)?(?:\/>|>([^<]*)<\/\1\s*>)/y;
const END = /\s*<\/Request\s*>\s*<\/Autodiscover\s*>$/y;
const ENTITY = /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));|&/g;
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Reads the request; the failure is a sentence on what is wrong with it. */
export function readAutodiscoverRequest(text: string): Result<AutodiscoverRequest, string> {
  const xml = text.trim();
  if (/<!DOCTYPE/i.test(xml)) return failed('a document with a DOCTYPE is not taken');
  const start = START.exec(xml);
  if (start === null) return failed('it is not an Autodiscover element with a Request in it');
  const found = new Map<string, string>();
  let at = start[0].length;
  for (let count = 0; ; count++) {
    ELEMENT.lastIndex = at;
    const element = ELEMENT.exec(xml);
    if (element === null) break;
    if (count === MAX_ELEMENTS) return failed(`its Request has more than ${MAX_ELEMENTS} elements`);
    const [whole, written = '', content = ''] = element;
    const value = decoded(content);
    if (value === null) return failed(`its ${written} holds a reference that XML does not have itself`);
    const name = written.toLowerCase();
    if (found.has(name)) return failed(`its ${written} is given twice`);
    found.set(name, value.trim());
    at += whole.length;
  }
  END.lastIndex = at;
  if (!END.test(xml)) return failed('its Request holds something else than elements with text');
  return ok({
    address: found.get('emailaddress') ?? '',
    schema: found.get('acceptableresponseschema') ?? '',
  });
}

/** null when an entity is none of XML's own five, or a number is no character of XML 1.0. */
function decoded(content: string): string | null {
  let bad = false;
  const text = content.replace(ENTITY, (_, named?: string, decimal?: string, hex?: string) => {
    if (named !== undefined) return NAMED[named] ?? '';
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
    if (isXmlCharacter(code)) return String.fromCodePoint(code);
    bad = true;
    return '';
  });
  return bad ? null : text;
}

/** Char of XML 1.0 §2.2. NaN is none. */
function isXmlCharacter(code: number): boolean {
  return (
    code === 0x9 ||
    code === 0xa ||
    code === 0xd ||
    (code >= 0x20 && code <= 0xd7ff) ||
    (code >= 0xe000 && code <= 0xfffd) ||
    (code >= 0x10000 && code <= 0x10ffff)
  );
}
