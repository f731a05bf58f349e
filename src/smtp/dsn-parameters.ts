/** The parameters of MAIL and RCPT that ask for notices (RFC 3461 §4, RFC 6533 §3), read into values. */

import {
  decodeUtf8Address,
  decodeXtext,
  encodeUtf8Address,
  type MessageDsn,
  type NotifyWord,
  type RecipientDsn,
} from '../mail/dsn.ts';
import { type Failure, failed, failure, ok, type Result } from '../mail/failure.ts';

const ENVID_CHARS = 100;
const ORCPT_CHARS = 500;
const NOTIFY_WORDS: ReadonlySet<string> = new Set(['SUCCESS', 'FAILURE', 'DELAY']);
/** What an address must not be made of, however it is encoded. */
const CONTROL = /[\u0000-\u001f\u007f]/;

type Refused = { readonly ok: false; readonly failure: Failure };

function bad(text: string): Refused {
  return failed(failure(501, '5.5.4', text));
}

/** The value of RET (RFC 3461 §4.3). */
export function parseRet(value: string | null): Result<NonNullable<MessageDsn['ret']>, Failure> {
  const ret = value?.toUpperCase();
  return ret === 'FULL' || ret === 'HDRS' ? ok(ret) : bad('RET needs FULL or HDRS');
}

/** The value of ENVID (RFC 3461 §4.4), which stands for printable ASCII; as it was given. */
export function parseEnvid(value: string | null): Result<string, Failure> {
  if (value === null || value.length > ENVID_CHARS)
    return bad(`ENVID needs 1 to ${ENVID_CHARS} characters of xtext`);
  const text = decodeXtext(value);
  if (text === null || !/^[ -~]+$/.test(text)) return bad('ENVID is not printable ASCII in xtext');
  return ok(value);
}

/** The value of NOTIFY (RFC 3461 §4.1): NEVER alone, or a list of the others, each once. */
export function parseNotify(value: string | null): Result<readonly NotifyWord[], Failure> {
  const words = (value ?? '').toUpperCase().split(',');
  if (words.length === 1 && words[0] === 'NEVER') return ok(['NEVER']);
  const unique = new Set(words);
  if (unique.size !== words.length || !words.every((word) => NOTIFY_WORDS.has(word)))
    return bad('NOTIFY needs NEVER alone, or some of SUCCESS, FAILURE and DELAY, each once');
  return ok([...unique] as NotifyWord[]);
}

/**
 * The value of ORCPT (RFC 3461 §4.2) as it was given, and a utf-8 address in its 7-bit form, so that it can be
 * passed on to any server (RFC 6533 §3). Bare UTF-8 needs SMTPUTF8.
 */
export function parseOrcpt(
  value: string | null,
  smtputf8: boolean,
): Result<NonNullable<RecipientDsn['orcpt']>, Failure> {
  const match = /^([A-Za-z0-9!#$%&'*/?^_`{|}~-]+);(.+)$/su.exec(value ?? '');
  if (match === null || (value ?? '').length > ORCPT_CHARS)
    return bad(`ORCPT needs type;address, ${ORCPT_CHARS} characters at most`);
  const [, type = '', encoded = ''] = match;
  if (type.toLowerCase() === 'utf-8') return parseUtf8Orcpt(type, encoded, smtputf8);
  const address = decodeXtext(encoded);
  if (address === null || CONTROL.test(address)) return bad('The address of ORCPT is not in xtext');
  return ok(`${type};${encoded}`);
}

function parseUtf8Orcpt(type: string, encoded: string, smtputf8: boolean): Result<string, Failure> {
  if (!smtputf8 && /[^\u0000-\u007f]/.test(encoded))
    return failed(failure(553, '5.6.7', 'An address beyond ASCII in ORCPT needs the SMTPUTF8 parameter'));
  const address = decodeUtf8Address(encoded);
  if (address === null || CONTROL.test(address)) return bad('The address of ORCPT is not in its utf-8 form');
  const kept = `${type};${encodeUtf8Address(address)}`;
  return kept.length > ORCPT_CHARS ? bad(`ORCPT is longer than ${ORCPT_CHARS} characters`) : ok(kept);
}
