/** What the receiving session says of itself; the host words the rest. */
import { type Reply, reply } from '../mail/reply.ts';
import type { ReceiverPolicy } from './receiver-contract.ts';

export const OK = reply(250, '2.0.0', 'Ok');
export const BYE = reply(221, '2.0.0', 'Bye');
export const START_DATA = reply(354, undefined, 'End data with <CR><LF>.<CR><LF>');
export const HELP = reply(
  214,
  '2.0.0',
  'EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT',
);
export const NOT_VERIFIED = reply(252, '2.0.0', 'Not verified here; send mail and RCPT will tell');
export const TOO_LONG = reply(500, '5.5.2', 'Command line too long');
export const NOT_RECOGNISED = reply(500, '5.5.2', 'Command not recognised');
export const NO_ARGUMENT = reply(501, '5.5.4', 'This command takes no argument');
export const VRFY_SYNTAX = reply(501, '5.5.4', 'Syntax: VRFY address');
export const NOT_IMPLEMENTED = reply(502, '5.5.1', 'Command not implemented');
export const NO_HELLO = reply(503, '5.5.1', 'Send EHLO or HELO first');
export const NO_MAIL = reply(503, '5.5.1', 'Send MAIL first');
export const NO_RCPT = reply(503, '5.5.1', 'Send RCPT first');
export const MAIL_BEGUN = reply(503, '5.5.1', 'A message is already begun');
export const CHUNKS_BEGUN = reply(503, '5.5.1', 'The message is being sent by BDAT');
export const CHUNK_UNREADABLE = reply(
  421,
  '4.5.0',
  'The size of the chunk cannot be read, closing the connection',
);
export const NO_VALID_RCPT = reply(554, '5.5.1', 'No valid recipients');
export const TOO_LARGE = reply(552, '5.3.4', 'Message is larger than this server accepts');
export const BARE_NEWLINE = reply(550, '5.5.2', 'CR or LF outside CRLF in the message');
export const TOO_MANY_ERRORS = reply(421, '4.7.0', 'Too many errors, closing the connection');

export const READY_FOR_TLS = reply(220, '2.0.0', 'Ready to start TLS');
export const TLS_UNDER_WAY = reply(503, '5.5.1', 'TLS is in use already');
export const CHALLENGE = reply(334, undefined, '');
export const ASK_USER = reply(334, undefined, 'VXNlcm5hbWU6'); // "Username:"
export const ASK_PASSWORD = reply(334, undefined, 'UGFzc3dvcmQ6'); // "Password:"
export const AUTH_SYNTAX = reply(501, '5.5.4', 'Syntax: AUTH mechanism [initial-response]');
export const AUTH_MALFORMED = reply(501, '5.5.2', 'Not what the mechanism sends, in base64');
export const AUTH_CANCELLED = reply(501, '5.7.0', 'Sign-in cancelled');
export const AUTH_TOO_LONG = reply(500, '5.5.6', 'Line of the sign-in is too long');
export const UNKNOWN_MECHANISM = reply(504, '5.5.4', 'Mechanism not known here; PLAIN and LOGIN are');
export const OTHER_IDENTITY = reply(535, '5.7.8', 'Signing in to act for another account is not possible');
export const AUTH_NEEDS_TLS = reply(538, '5.7.11', 'Sign-in needs TLS: send STARTTLS first');
export const SIGNED_IN_ALREADY = reply(503, '5.5.1', 'Signed in already');
export const AUTH_IN_TRANSACTION = reply(503, '5.5.1', 'Sign-in is not possible while a message is begun');
export const SIGN_IN_FIRST = reply(530, '5.7.0', 'Sign in first, with AUTH');
export const TOO_MANY_SIGN_INS = reply(421, '4.7.0', 'Too many failed sign-ins, closing the connection');
export const TOO_MANY_MESSAGES = reply(421, '4.7.0', 'Enough messages for one connection; connect again');

export function tooManyInSession(limit: number): Reply {
  return reply(452, '4.5.3', `Not more than ${limit} recipients in one session; connect again`);
}

export function tooManyRecipients(limit: number): Reply {
  return reply(452, '4.5.3', `Not more than ${limit} recipients for one message`);
}

export function chunkReceived(sizeBytes: number): Reply {
  return reply(250, '2.0.0', `${sizeBytes} octets received`);
}

export function greeting(policy: ReceiverPolicy): Reply {
  return reply(220, undefined, `${policy.hostname} ESMTP CMail`);
}

/** What a session may offer at the moment. */
export interface Offers {
  readonly startTls: boolean;
  readonly auth: boolean;
  readonly requireTls: boolean;
}

/** The answer to HELO, or with the extensions to EHLO; SIZE 0 says that there is no limit (RFC 1870 §4). */
export function helloReply(policy: ReceiverPolicy, extended: boolean, offers: Offers): Reply {
  if (!extended) return reply(250, undefined, policy.hostname);
  return reply(
    250,
    undefined,
    policy.hostname,
    'PIPELINING',
    `SIZE ${policy.maxMessageBytes}`,
    '8BITMIME',
    'SMTPUTF8',
    'ENHANCEDSTATUSCODES',
    'CHUNKING',
    'DSN',
    ...(offers.startTls ? ['STARTTLS'] : []),
    ...(offers.auth ? ['AUTH PLAIN LOGIN'] : []),
    ...(offers.requireTls ? ['REQUIRETLS'] : []),
  );
}
