/** Builds the content of a notice: a delivery status notification (RFC 3464) in a report (RFC 6522). */
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import MimeNode, {} from 'nodemailer/lib/mime-node';
import { decodeWords, originalField } from './original.js';
import { advice, asciiLine, foldField, formatDate, formatTime, oneLine, wrap } from './text.js';
/** Recipients named in the part for people; the second part has all. */
const PEOPLE_LIMIT = 50;
const ADDRESS_LIMIT = 700;
const TEXT_LIMIT = 600;
/** One word of this length still fits a line of 998 octets. */
const DIAGNOSTIC_LIMIT = 900;
/** The finished notice: CRLF lines of at most 998 octets, 7-bit. */
export async function composeNotice(content) {
    const root = new MimeNode('multipart/report; report-type=delivery-status');
    root.setHeader([
        { key: 'From', value: { name: 'Mail Delivery System', address: `postmaster@${content.hostname}` } },
        { key: 'To', value: toHeader(content) },
        { key: 'Subject', value: subject(content) },
        { key: 'Date', value: formatDate(content.now) },
        { key: 'Message-ID', value: `<${randomUUID()}@${content.hostname}>` },
        { key: 'Auto-Submitted', value: 'auto-replied' },
        { key: 'MIME-Version', value: '1.0' },
    ]);
    const messageId = originalField(content.originalHeader, 'Message-ID');
    if (messageId !== undefined && /^<[!-;=?-~]{1,900}>$/.test(messageId)) {
        root.setHeader('In-Reply-To', messageId);
        root.setHeader('References', messageId);
    }
    root.createChild('text/plain; charset=utf-8').setContent(textForPeople(content));
    root
        .createChild('message/delivery-status')
        .setHeader('Content-Transfer-Encoding', '7bit')
        .setContent(deliveryStatus(content));
    appendOriginal(root, content.originalHeader);
    return root.build();
}
function toHeader(content) {
    if (content.audience !== 'sender')
        return { address: `postmaster@${content.hostname}` };
    const address = oneLine(content.sender, ADDRESS_LIMIT);
    // An address with other letters has no place in a 7-bit header: an empty group bears its name (RFC 6857 §3.1).
    return /^[ -~]+$/.test(address) ? { address } : `"${address.replace(/["\\]/g, '')}":;`;
}
function subject(content) {
    const first = oneLine(content.recipients[0]?.original ?? '', 200);
    const more = content.recipients.length - 1;
    const what = content.audience === 'null-sender' ? 'notice' : 'message';
    const state = content.kind === 'failure' ? 'Undelivered' : 'Delayed';
    return `${state}: ${what} to ${first}${more > 0 ? ` and ${more} more` : ''}`;
}
// ---------------------------------------------------------------- part 1
function textForPeople(content) {
    const paragraphs = [
        wrap(`This is the mail server ${content.hostname}.`),
        wrap(opening(content)),
        ...content.recipients.slice(0, PEOPLE_LIMIT).map((recipient) => aboutRecipient(content, recipient)),
    ];
    const more = content.recipients.length - PEOPLE_LIMIT;
    if (more > 0)
        paragraphs.push(wrap(`The same for ${more} more addresses, listed in the attached report.`));
    paragraphs.push(aboutMessage(content));
    return `${paragraphs.join('\r\n\r\n')}\r\n`;
}
function opening(content) {
    const several = content.recipients.length > 1;
    const to = several ? 'the addresses below' : 'the address below';
    if (content.audience === 'null-sender') {
        return `A message without a return address, most likely an automatic notice, could not be delivered to ${to}. Nobody else can be told of it, so you get this as postmaster. No further attempt will be made.`;
    }
    if (content.audience === 'sender-unreachable') {
        const sender = oneLine(content.sender, ADDRESS_LIMIT);
        return `A message from ${sender} could not be delivered to ${to}, and its sender cannot be told: mail to ${sender} is not deliverable from here. You get this notice as postmaster in their place. No further attempt will be made.`;
    }
    if (content.kind === 'failure') {
        return `Your message could not be delivered to ${to}. ${several ? 'They have' : 'That person has'} not received it, and no further attempt will be made.`;
    }
    const until = content.giveUpAt === undefined ? '' : ` until ${formatTime(content.giveUpAt)}`;
    const next = content.nextAttemptAt === undefined
        ? ''
        : ` The next attempt is at ${formatTime(content.nextAttemptAt)}.`;
    return `Your message has not been delivered to ${to} yet. You need not do anything: this server goes on trying${until}, and you will be told if it does not succeed.${next}`;
}
function aboutRecipient(content, recipient) {
    const { hostname, kind, audience } = content;
    const name = oneLine(recipient.original, ADDRESS_LIMIT);
    const address = oneLine(recipient.address, ADDRESS_LIMIT);
    const lines = [`  ${name}`];
    if (address.toLowerCase() !== name.toLowerCase())
        lines.push(labelled('Passed on to', address));
    lines.push(labelled('What happened', oneLine(recipient.explanation, TEXT_LIMIT)));
    if (recipient.diagnostic !== null && recipient.diagnostic !== '') {
        const server = recipient.remoteMta === null ? 'The other server' : oneLine(recipient.remoteMta, 255);
        lines.push(labelled(`${server} answered`, oneLine(recipient.diagnostic, TEXT_LIMIT)));
    }
    if (kind === 'failure' && audience === 'sender') {
        lines.push(labelled('What to do', advice(recipient.status, hostname)));
    }
    return lines.join('\r\n');
}
function labelled(label, text) {
    return wrap(`${label}: ${text}`, '      ', '    ');
}
function aboutMessage(content) {
    const title = originalField(content.originalHeader, 'Subject');
    const lines = ['The message:'];
    if (title !== undefined)
        lines.push(labelled('Subject', oneLine(decodeWords(title.slice(0, 2_000)), 300)));
    if (content.audience !== 'sender') {
        lines.push(labelled('From', content.sender === '' ? 'no return address' : oneLine(content.sender, 700)));
    }
    lines.push(labelled('Received here', formatTime(content.arrivedAt)));
    lines.push(labelled('Number', content.queueId));
    return lines.join('\r\n');
}
// ---------------------------------------------------------------- part 2
function deliveryStatus(content) {
    const message = foldField('Reporting-MTA', `dns; ${content.hostname}`) +
        foldField('Arrival-Date', formatDate(content.arrivedAt));
    const groups = content.recipients.map((recipient) => recipientStatus(content, recipient));
    return [message, ...groups].join('\r\n');
}
/** The per-recipient fields of RFC 3464 §2.3. */
function recipientStatus(content, recipient) {
    const failure = content.kind === 'failure';
    const status = /^[45]\.\d{1,3}\.\d{1,3}$/.test(recipient.status) ? recipient.status : null;
    let fields = foldField('Original-Recipient', typedAddress(recipient.original)) +
        foldField('Final-Recipient', typedAddress(recipient.address)) +
        foldField('Action', failure ? 'failed' : 'delayed') +
        foldField('Status', status ?? (failure ? '5.0.0' : '4.0.0'));
    const remote = (recipient.remoteMta ?? '').replace(/[^\w.:[\]-]/g, '').slice(0, 255);
    if (remote !== '')
        fields += foldField('Remote-MTA', `dns; ${remote}`);
    const diagnostic = asciiLine(recipient.diagnostic ?? '', DIAGNOSTIC_LIMIT);
    if (diagnostic !== '')
        fields += foldField('Diagnostic-Code', `smtp; ${diagnostic}`);
    fields += foldField('Last-Attempt-Date', formatDate(content.now));
    if (!failure && content.giveUpAt !== undefined) {
        fields += foldField('Will-Retry-Until', formatDate(content.giveUpAt));
    }
    return fields;
}
/** `rfc822` for ASCII, else `utf-8` in the 7-bit form utf-8-addr-xtext (RFC 6533 §3). */
function typedAddress(address) {
    const line = oneLine(address, ADDRESS_LIMIT);
    if (/^[\x20-\x7e]*$/.test(line))
        return `rfc822; ${line}`;
    const encoded = line.replace(/[^\x21-\x7e]|[+=\\]/gu, (character) => {
        const hex = (character.codePointAt(0) ?? 0).toString(16).toUpperCase();
        return `\\x{${hex.padStart(2, '0')}}`;
    });
    return `utf-8; ${encoded}`;
}
// ---------------------------------------------------------------- part 3
function appendOriginal(root, header) {
    if (header === '')
        return;
    const plain = /^[\x20-\x7e\t\r\n]*$/.test(header) && !/[^\r\n]{999}/.test(header);
    if (plain) {
        // Written as it is, since readers of these parts rarely decode quoted-printable.
        root
            .createChild()
            .setRaw(`Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${header}`);
        return;
    }
    const bytes = Buffer.from(header, 'latin1');
    const charset = isUtf8(bytes) ? '; charset=utf-8' : '';
    root
        .createChild(`text/rfc822-headers${charset}`, { textEncoding: 'Q' })
        .setHeader('Content-Transfer-Encoding', 'quoted-printable')
        .setContent(bytes);
}
