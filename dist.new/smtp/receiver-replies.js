/** What the receiving session says of itself; the host words the rest. */
import { reply } from '../mail/reply.js';
export const OK = reply(250, '2.0.0', 'Ok');
export const BYE = reply(221, '2.0.0', 'Bye');
export const START_DATA = reply(354, undefined, 'End data with <CR><LF>.<CR><LF>');
export const HELP = reply(214, '2.0.0', 'EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT');
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
export const NO_VALID_RCPT = reply(554, '5.5.1', 'No valid recipients');
export const TOO_LARGE = reply(552, '5.3.4', 'Message is larger than this server accepts');
export const BARE_NEWLINE = reply(550, '5.5.2', 'CR or LF outside CRLF in the message');
export const TOO_MANY_ERRORS = reply(421, '4.7.0', 'Too many errors, closing the connection');
export function tooManyRecipients(limit) {
    return reply(452, '4.5.3', `Not more than ${limit} recipients for one message`);
}
export function chunkReceived(sizeBytes) {
    return reply(250, '2.0.0', `${sizeBytes} octets received`);
}
export function greeting(policy) {
    return reply(220, undefined, `${policy.hostname} ESMTP CMail`);
}
/** The answer to HELO, or with the extensions to EHLO; SIZE 0 says that there is no limit (RFC 1870 §4). */
export function helloReply(policy, extended) {
    if (!extended)
        return reply(250, undefined, policy.hostname);
    const size = `SIZE ${policy.maxMessageBytes}`;
    return reply(250, undefined, policy.hostname, 'PIPELINING', size, '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'CHUNKING');
}
