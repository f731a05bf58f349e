import { isAutoSubmitted } from '../mail/auto-submitted.ts';
import { decodeXtext, wantsNotice } from '../mail/dsn.ts';
import { describeError } from '../mail/failure.ts';
import { formatMessageId, type MessageId } from '../mail/message-id.ts';
import type { BodyReader, MessageSource, NewRecipient, NoticeInput } from '../storage/contract.ts';
import { composeNotice, type NoticeContent } from './compose.ts';
import type { MakeNotices, NoticeRequest } from './contract.ts';
import { headerSection, type Original, readOriginal, readOriginalHeader } from './original.ts';

export interface NoticeMakerDependencies {
  readonly store: {
    openBody(id: MessageId): Promise<BodyReader | null>;
    nextMessageId(): MessageId;
  };
  readonly hostname: string;
  /**
   * Where mail to an address goes now; null when it cannot be delivered from here. A rejection (directory
   * unreadable) passes through, so that a failure is never recorded without its notice.
   */
  readonly decide: (address: string) => Promise<readonly NewRecipient[] | null>;
  /** Where postmaster's mail goes; empty before the first account exists. */
  readonly postmaster: () => Promise<readonly NewRecipient[]>;
  readonly now?: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** `source.protocol` of notices; the second kind never leads to another notice. */
const TO_SENDER = 'notice';
const TO_POSTMASTER = 'postmaster-notice';

interface Addressee {
  readonly audience: NoticeContent['audience'];
  readonly recipients: readonly NewRecipient[];
}

/** The word of NOTIFY each kind of notice is asked for with. */
const EVENT_OF = { failure: 'FAILURE', delay: 'DELAY', success: 'SUCCESS' } as const;

/** Makes the function of `notices/contract.ts`. */
export function createNoticeMaker(deps: NoticeMakerDependencies): MakeNotices {
  return async (asked) => {
    const recipients = asked.recipients.filter(({ dsn }) => wantsNotice(dsn, EVENT_OF[asked.kind]));
    if (recipients.length === 0) return [];
    const request = { ...asked, recipients };
    const addressee = await findAddressee(deps, request);
    if (addressee === null) return [];
    const original = await originalOf(deps, request);
    if (request.kind !== 'delay' || !isAutoSubmitted(original.header))
      return [await makeNotice(deps, request, addressee, original)];
    // Nobody reads it, and it is not owed (RFC 3834 §2) unless it was asked for in so many words.
    const insisting = recipients.filter(({ dsn }) => dsn.notify !== null);
    if (insisting.length === 0) return [];
    return [await makeNotice(deps, { ...request, recipients: insisting }, addressee, original)];
  };
}

/** Who is to be told, null when nobody is. */
async function findAddressee(
  deps: NoticeMakerDependencies,
  request: NoticeRequest,
): Promise<Addressee | null> {
  const { message, kind } = request;
  if (message.sender !== '') {
    const recipients = await deps.decide(message.sender);
    if (recipients !== null && recipients.length > 0) return { audience: 'sender', recipients };
    // Nothing is asked of anybody, so postmaster need not hear of it for somebody else.
    return kind === 'failure' ? toPostmaster(deps, request, 'sender-unreachable') : null;
  }
  if (kind !== 'failure') return null;
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

async function toPostmaster(
  deps: NoticeMakerDependencies,
  request: NoticeRequest,
  audience: Addressee['audience'],
): Promise<Addressee | null> {
  const recipients = await deps.postmaster();
  if (recipients.length > 0) return { audience, recipients };
  deps.log('error', 'a failure could be told to nobody: there is no postmaster yet', {
    message: formatMessageId(request.message.id),
    recipients: request.recipients.map((recipient) => recipient.address),
  });
  return null;
}

/** What can be had of the original; a notice without it is better than none. */
async function originalOf(deps: NoticeMakerDependencies, request: NoticeRequest): Promise<Original> {
  const { message, kind, originalHeader } = request;
  const added = Buffer.from(message.header, 'utf8').toString('latin1');
  if (originalHeader !== undefined)
    return { header: headerSection(added + originalHeader), whole: null, omitted: null };
  // RET is about failures alone (RFC 3461 §4.3), and of no use where TLS is required (RFC 8689 §5).
  const wanted = kind === 'failure' && message.dsn.ret === 'FULL';
  const full = wanted && !message.requireTls;
  const omitted = wanted && message.requireTls ? 'tls' : null;
  try {
    const body = await deps.store.openBody(message.id);
    if (full && body !== null) return await readOriginal(message.header, body, isBeyondAscii(message.sender));
    return { header: await readOriginalHeader(message.header, body), whole: null, omitted };
  } catch (error) {
    deps.log('warn', 'a notice goes out without the content of the message it is about', {
      message: formatMessageId(message.id),
      error: describeError(error),
    });
    return { header: await readOriginalHeader(message.header, null), whole: null, omitted };
  }
}

async function makeNotice(
  deps: NoticeMakerDependencies,
  request: NoticeRequest,
  addressee: Addressee,
  original: Original,
): Promise<NoticeInput> {
  const { message } = request;
  const now = (deps.now ?? Date.now)();
  const { envid } = message.dsn;
  const { content, eightBit, utf8 } = await composeNotice({
    kind: request.kind,
    audience: addressee.audience,
    hostname: deps.hostname,
    sender: message.sender,
    queueId: formatMessageId(message.id),
    envid: envid === null ? null : decodeXtext(envid),
    recipients: request.recipients,
    arrivedAt: message.receivedAt,
    now,
    original,
  });
  return {
    id: deps.store.nextMessageId(),
    content,
    sender: '',
    source: internalSource(addressee.audience === 'sender' ? TO_SENDER : TO_POSTMASTER),
    smtputf8: utf8 || addressee.recipients.some((recipient) => isBeyondAscii(recipient.address)),
    eightBit,
    header: '',
    receivedAt: now,
    recipients: addressee.recipients,
    noticeFor: message.id,
  };
}

function isBeyondAscii(address: string): boolean {
  return /[^\x00-\x7f]/.test(address);
}

function internalSource(protocol: string): MessageSource {
  return { kind: 'internal', address: null, helo: null, user: null, protocol };
}
