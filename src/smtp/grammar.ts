/** The command lines a client may send (RFC 5321 §4.1.1, §4.1.2), read into values. */
import {
  type Address,
  canonicalDomain,
  endOfQuotedString,
  parseAddress,
  parseAddressLiteral,
} from '../mail/address.ts';
import { type MessageDsn, NO_MESSAGE_DSN, type RecipientDsn } from '../mail/dsn.ts';
import { type Failure, failed, failure, ok, type Result } from '../mail/failure.ts';
import { parseEnvid, parseNotify, parseOrcpt, parseRet } from './dsn-parameters.ts';
import type { MailParameters } from './receiver-contract.ts';

/** Longest command line taken, CRLF included: 512 octets (RFC 5321 §4.5.3.1.4) and room for parameters. */
export const MAX_COMMAND_LINE_BYTES = 2048;

export interface CommandLine {
  /** Upper-case. */
  readonly verb: string;
  /** What follows the verb and its space, without trailing white space. */
  readonly argument: string;
}

/** The argument of BDAT (RFC 3030 §2). */
export interface ChunkHeader {
  readonly sizeBytes: number;
  readonly last: boolean;
}

const BEYOND_ASCII = /[^\u0000-\u007f]/;
/** A-d-l of RFC 5321 §4.1.2: `@one,@two:`; an IPv6 literal has colons of its own. */
const SOURCE_ROUTE = /^@(?:\[[^\]]*\]|[^@,:[\]]+)(?:,@(?:\[[^\]]*\]|[^@,:[\]]+))*:/;
const ESMTP_PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u0080-\u{10ffff}]+))?$/u;
/** What names and literals are made of, and the underscore many clients have; safe in a trace header. */
const HELLO_NAME = /^[A-Za-z0-9._:[\]-]{1,255}$/;

/**
 * Splits a line (without its CRLF) into verb and argument. Failures: 550 5.5.2 for a bare CR or LF, 500 5.5.2
 * for NUL, an empty line or no verb at its start.
 */
export function parseCommandLine(line: Buffer): Result<CommandLine, Failure> {
  const text = line.toString('utf8');
  if (/[\r\n]/.test(text)) return failed(failure(550, '5.5.2', 'CR or LF outside CRLF in a command'));
  if (text.includes('\0')) return failed(failure(500, '5.5.2', 'NUL in a command'));
  const match = /^([A-Za-z]+)(?:[ \t]+(.*))?$/su.exec(text);
  if (match === null) return failed(failure(500, '5.5.2', 'Command not recognised'));
  return ok({ verb: match[1]!.toUpperCase(), argument: (match[2] ?? '').trimEnd() });
}

/** The name a client gives in HELO or EHLO. Failure 501 5.5.4. */
export function parseHello(argument: string): Result<string, Failure> {
  if (HELLO_NAME.test(argument)) return ok(argument);
  return badArgument(argument === '' ? 'A host name is required' : 'Not a host name or address literal');
}

/** The argument of MAIL. Failures: 501 5.1.7, 501 5.5.4, 553 5.6.7, 555 5.5.4. */
export function parseMail(
  argument: string,
): Result<{ readonly sender: Address | null; readonly parameters: MailParameters }, Failure> {
  const split = splitPath(argument, /^FROM:[ \t]*/i, 'MAIL FROM:<address>', '5.1.7');
  if (!split.ok) return split;
  const { path, rest } = split.value;
  const parameters = parseMailParameters(rest);
  if (!parameters.ok) return parameters;
  if (path === '') return ok({ sender: null, parameters: parameters.value });
  const sender = parsePath(path, parameters.value.smtputf8);
  if (!sender.ok) {
    const { code, enhanced, text } = sender.failure;
    return failed(failure(code, enhanced === '5.1.3' ? '5.1.7' : enhanced, text));
  }
  return ok({ sender: sender.value, parameters: parameters.value });
}

/** The argument of RCPT; `smtputf8` as MAIL said. Failures: 501 5.1.3, 501 5.5.4, 553 5.6.7, 555 5.5.4. */
export function parseRcpt(
  argument: string,
  smtputf8: boolean,
): Result<{ readonly recipient: Address; readonly dsn: RecipientDsn }, Failure> {
  const split = splitPath(argument, /^TO:[ \t]*/i, 'RCPT TO:<address>', '5.1.3');
  if (!split.ok) return split;
  const { path, rest } = split.value;
  const dsn = parseRcptParameters(rest, smtputf8);
  if (!dsn.ok) return dsn;
  const recipient = /^postmaster$/i.test(path)
    ? ok({ text: path, localPart: path, domain: '', utf8: false })
    : parsePath(path, smtputf8);
  return recipient.ok ? ok({ recipient: recipient.value, dsn: dsn.value }) : recipient;
}

/** The argument of BDAT. Failure 501 5.5.4. */
export function parseChunkHeader(argument: string): Result<ChunkHeader, Failure> {
  const match = /^(\d{1,15})(?:[ \t]+(LAST))?$/i.exec(argument);
  if (match === null) return badArgument('Syntax: BDAT octets [LAST]');
  return ok({ sizeBytes: Number(match[1]), last: match[2] !== undefined });
}

function badArgument(text: string): { readonly ok: false; readonly failure: Failure } {
  return failed(failure(501, '5.5.4', text));
}

/** RFC 5321 §4.1.1.11; also of one that is not offered now. */
export function unknownParameter(keyword: string): { readonly ok: false; readonly failure: Failure } {
  return failed(failure(555, '5.5.4', `Parameter ${keyword} is not supported`));
}

/** Separates `FROM:<path> parameters`; the path comes without its angle brackets, which are required. */
function splitPath(
  argument: string,
  prefix: RegExp,
  syntax: string,
  addressStatus: string,
): Result<{ readonly path: string; readonly rest: string }, Failure> {
  const start = prefix.exec(argument)?.[0].length;
  if (start === undefined) return badArgument(`Syntax: ${syntax}`);
  const text = argument.slice(start);
  const end = endOfPath(text);
  if (end === -1) return failed(failure(501, addressStatus, `Not a valid address: syntax is ${syntax}`));
  const rest = text.slice(end);
  if (rest !== '' && !/^[ \t]/.test(rest)) return badArgument('A space must precede each parameter');
  return ok({ path: text.slice(1, end - 1), rest });
}

/** Index just after the `>` that closes a path; one inside a quoted string does not. -1 without one. */
function endOfPath(text: string): number {
  if (!text.startsWith('<')) return -1;
  for (let i = 1; i < text.length; i++) {
    if (text[i] === '>') return i + 1;
    if (text[i] !== '"') continue;
    const length = endOfQuotedString(text.slice(i));
    if (length === -1) return -1;
    i += length - 1;
  }
  return -1;
}

/** A mailbox with an optional source route, which is checked and ignored (RFC 5321 appendix C). */
function parsePath(path: string, smtputf8: boolean): Result<Address, Failure> {
  if (!smtputf8 && BEYOND_ASCII.test(path)) {
    return failed(failure(553, '5.6.7', 'An address beyond ASCII needs the SMTPUTF8 parameter'));
  }
  if (!path.startsWith('@')) return parseAddress(path);
  const route = SOURCE_ROUTE.exec(path)?.[0];
  if (route === undefined || !isSourceRoute(route)) {
    return failed(failure(501, '5.1.3', 'Not a valid address: the source route is malformed'));
  }
  return parseAddress(path.slice(route.length));
}

function isSourceRoute(route: string): boolean {
  return route
    .slice(1, -1)
    .split(',@')
    .every((host) => canonicalDomain(host) !== undefined || parseAddressLiteral(host) !== undefined);
}

/** ESMTP parameters by upper-case keyword (RFC 5321 §4.1.2); null is the value of one without `=`. */
function parseParameters(text: string): Result<ReadonlyMap<string, string | null>, Failure> {
  const parameters = new Map<string, string | null>();
  for (const word of text.split(/[ \t]+/)) {
    if (word === '') continue;
    const match = ESMTP_PARAMETER.exec(word);
    if (match === null) return badArgument('Malformed parameter');
    const keyword = match[1]!.toUpperCase();
    if (parameters.has(keyword)) return badArgument(`Parameter ${keyword} is given twice`);
    parameters.set(keyword, match[2] ?? null);
  }
  return ok(parameters);
}

function parseMailParameters(text: string): Result<MailParameters, Failure> {
  const parameters = parseParameters(text);
  if (!parameters.ok) return parameters;
  let sizeBytes: number | null = null;
  let body: MailParameters['body'] = null;
  let smtputf8 = false;
  let requireTls = false;
  let dsn: MessageDsn = NO_MESSAGE_DSN;
  for (const [keyword, value] of parameters.value) {
    if (keyword === 'SIZE') {
      if (value === null || !/^\d{1,20}$/.test(value)) return badArgument('SIZE needs a number of octets');
      sizeBytes = Number(value);
    } else if (keyword === 'BODY') {
      const type = value?.toUpperCase();
      if (type !== '7BIT' && type !== '8BITMIME') return badArgument('BODY needs 7BIT or 8BITMIME');
      body = type;
    } else if (keyword === 'AUTH') {
      // Who sent it first, as the client says (RFC 4954 §5): taken, and trusted in nothing.
      if (value === null) return badArgument('AUTH needs an address or <>');
    } else if (keyword === 'SMTPUTF8') {
      if (value !== null) return badArgument('SMTPUTF8 takes no value');
      smtputf8 = true;
    } else if (keyword === 'REQUIRETLS') {
      if (value !== null) return badArgument('REQUIRETLS takes no value');
      requireTls = true;
    } else if (keyword === 'RET') {
      const ret = parseRet(value);
      if (!ret.ok) return ret;
      dsn = { ...dsn, ret: ret.value };
    } else if (keyword === 'ENVID') {
      const envid = parseEnvid(value);
      if (!envid.ok) return envid;
      dsn = { ...dsn, envid: envid.value };
    } else {
      return unknownParameter(keyword);
    }
  }
  return ok({ sizeBytes, body, smtputf8, dsn, requireTls });
}

function parseRcptParameters(text: string, smtputf8: boolean): Result<RecipientDsn, Failure> {
  const parameters = parseParameters(text);
  if (!parameters.ok) return parameters;
  let notify: RecipientDsn['notify'] = null;
  let orcpt: RecipientDsn['orcpt'] = null;
  for (const [keyword, value] of parameters.value) {
    if (keyword === 'NOTIFY') {
      const words = parseNotify(value);
      if (!words.ok) return words;
      notify = words.value;
    } else if (keyword === 'ORCPT') {
      const original = parseOrcpt(value, smtputf8);
      if (!original.ok) return original;
      orcpt = original.value;
    } else {
      return unknownParameter(keyword);
    }
  }
  return ok({ notify, orcpt });
}
