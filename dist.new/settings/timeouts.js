import { setting } from './definition.js';
import { seconds } from './types.js';
const OUTBOUND = 'Outbound sessions, from the next wait.';
const BOTH = 'Inbound and outbound sessions, from the next wait.';
function timeout(name, label, fallback, effect, help) {
    return setting({
        key: `smtp.timeout.${name}`,
        label,
        type: seconds({ min: 1, max: 3600 }),
        default: String(fallback),
        help,
        effect,
    });
}
/** Longest wait of each phase of a session (RFC 5321 §4.5.3.2), counted to the complete reply or block. */
export const phaseTimeouts = {
    timeoutGreeting: timeout('greeting', 'Timeout: greeting', 300, OUTBOUND, 'Wait for the 220 greeting of a remote server.'),
    timeoutEhlo: timeout('ehlo', 'Timeout: EHLO', 300, OUTBOUND, 'Wait for the reply to EHLO or HELO.'),
    timeoutTls: timeout('tls', 'Timeout: STARTTLS', 300, BOTH, 'Wait for the reply to STARTTLS, and for the TLS handshake.'),
    timeoutAuth: timeout('auth', 'Timeout: AUTH', 300, BOTH, 'Wait for each reply of an AUTH exchange.'),
    timeoutMail: timeout('mail', 'Timeout: MAIL', 300, OUTBOUND, 'Wait for the reply to MAIL (RFC 5321: 5 minutes).'),
    timeoutRcpt: timeout('rcpt', 'Timeout: RCPT', 300, OUTBOUND, 'Wait for the reply to RCPT (RFC 5321: 5 minutes).'),
    timeoutData: timeout('data', 'Timeout: DATA', 120, OUTBOUND, 'Wait for the reply to DATA (RFC 5321: 2 minutes).'),
    timeoutDataBlock: timeout('dataBlock', 'Timeout: data block', 180, BOTH, 'Wait for one block of the data to arrive or to be taken (RFC 5321: 3 minutes).'),
    timeoutDataEnd: timeout('dataEnd', 'Timeout: end of data', 600, OUTBOUND, 'Wait for the reply to the final dot (RFC 5321: 10 minutes). Shortening it leads to messages sent twice.'),
    timeoutQuit: timeout('quit', 'Timeout: QUIT', 300, OUTBOUND, 'Wait for the reply to QUIT.'),
    timeoutCommand: timeout('command', 'Timeout: command', 300, 'Inbound sessions, from the next wait.', "Wait for a client's next command (RFC 5321: 5 minutes)."),
};
