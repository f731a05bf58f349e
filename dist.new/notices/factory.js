import { describeError } from '../mail/failure.js';
import { formatMessageId } from '../mail/message-id.js';
import { composeNotice } from './compose.js';
import { readOriginalHeader } from './original.js';
/** `source.protocol` of notices; the second kind never leads to another notice. */
const TO_SENDER = 'notice';
const TO_POSTMASTER = 'postmaster-notice';
/** Makes the function of `notices/contract.ts`. */
export function createNoticeMaker(deps) {
    return async (request) => {
        if (request.recipients.length === 0)
            return [];
        const addressee = await findAddressee(deps, request);
        if (addressee === null)
            return [];
        const originalHeader = await originalHeaderOf(deps, request.message);
        return [await makeNotice(deps, request, addressee, originalHeader)];
    };
}
/** Who is to be told, null when nobody is. */
async function findAddressee(deps, request) {
    const { message, kind } = request;
    if (message.sender !== '') {
        const recipients = await deps.decide(message.sender);
        if (recipients !== null && recipients.length > 0)
            return { audience: 'sender', recipients };
        // A delay asks for nothing, so postmaster need not hear of it for somebody else.
        return kind === 'delay' ? null : toPostmaster(deps, request, 'sender-unreachable');
    }
    if (kind === 'delay')
        return null;
    if (message.source.kind === 'internal' && message.source.protocol === TO_POSTMASTER) {
        deps.log('error', 'a notice to postmaster could not be delivered, and nobody is left to tell', {
            message: formatMessageId(message.id),
            noticeFor: message.noticeFor === null ? null : formatMessageId(message.noticeFor),
            recipients: request.recipients.map((recipient) => recipient.address),
        });
        return null;
    }
    return toPostmaster(deps, request, 'null-sender');
}
async function toPostmaster(deps, request, audience) {
    const recipients = await deps.postmaster();
    if (recipients.length > 0)
        return { audience, recipients };
    deps.log('error', 'a failure could be told to nobody: there is no postmaster yet', {
        message: formatMessageId(request.message.id),
        recipients: request.recipients.map((recipient) => recipient.address),
    });
    return null;
}
/** What can be had of the original's header; a notice without it is better than none. */
async function originalHeaderOf(deps, message) {
    try {
        return await readOriginalHeader(message.header, await deps.store.openBody(message.id));
    }
    catch (error) {
        deps.log('warn', 'a notice goes out without the header of the message it is about', {
            message: formatMessageId(message.id),
            error: describeError(error),
        });
        return readOriginalHeader(message.header, null);
    }
}
async function makeNotice(deps, request, addressee, originalHeader) {
    const { message } = request;
    const now = (deps.now ?? Date.now)();
    const content = await composeNotice({
        kind: request.kind,
        audience: addressee.audience,
        hostname: deps.hostname,
        sender: message.sender,
        queueId: formatMessageId(message.id),
        recipients: request.recipients,
        arrivedAt: message.receivedAt,
        now,
        nextAttemptAt: request.nextAttemptAt,
        giveUpAt: request.giveUpAt,
        originalHeader,
    });
    return {
        id: deps.store.nextMessageId(),
        content,
        sender: '',
        source: internalSource(addressee.audience === 'sender' ? TO_SENDER : TO_POSTMASTER),
        // Only the envelope can need it: the content is 7-bit.
        smtputf8: addressee.recipients.some((recipient) => /[^\x00-\x7f]/.test(recipient.address)),
        eightBit: false,
        header: '',
        receivedAt: now,
        recipients: addressee.recipients,
        noticeFor: message.id,
    };
}
function internalSource(protocol) {
    return { kind: 'internal', address: null, helo: null, user: null, protocol };
}
