/** Builds the content of a notice: a delivery status notification (RFC 3464, RFC 6533) in a report (RFC 6522). */
import { randomUUID } from 'node:crypto';
import MimeNode from 'nodemailer/lib/mime-node';
import type { NoticeKind, NoticeRecipient } from './contract.ts';
import { type Original, originalField } from './original.ts';
import { ADDRESS_LIMIT, subject, textForPeople } from './people.ts';
import { appendOriginal } from './returned.ts';
import { deliveryStatus } from './status.ts';
import { formatDate, oneLine } from './text.ts';

export interface NoticeContent {
  readonly kind: NoticeKind;
  /**
   * Who reads it: the sender; postmaster because the sender cannot be told; postmaster because the message
   * has no sender.
   */
  readonly audience: 'sender' | 'sender-unreachable' | 'null-sender';
  /** Our name. */
  readonly hostname: string;
  /** Envelope sender of the original, '' for the null reverse-path. */
  readonly sender: string;
  /** Queue ID of the original, as people see it. */
  readonly queueId: string;
  /** ENVID of the original, decoded. */
  readonly envid: string | null;
  readonly recipients: readonly NoticeRecipient[];
  readonly arrivedAt: number;
  readonly now: number;
  readonly original: Original;
}

/** A finished notice: CRLF lines of at most 998 octets. */
export interface Composed {
  readonly content: Buffer;
  /** It has octets above 127. */
  readonly eightBit: boolean;
  /** It is in the form of RFC 6533 for an address beyond ASCII, and needs SMTPUTF8. */
  readonly utf8: boolean;
}

/** 7-bit, unless it goes to an address beyond ASCII or brings back a message that is not. */
export async function composeNotice(content: NoticeContent): Promise<Composed> {
  const utf8 = content.audience === 'sender' && /[^\x00-\x7f]/.test(content.sender);
  const root = new MimeNode('multipart/report; report-type=delivery-status');
  root.setHeader([
    { key: 'From', value: { name: 'Mail Delivery System', address: `postmaster@${content.hostname}` } },
    { key: 'To', value: toHeader(content, utf8) },
    { key: 'Subject', value: subject(content) },
    { key: 'Date', value: formatDate(content.now) },
    { key: 'Message-ID', value: `<${randomUUID()}@${content.hostname}>` },
    { key: 'Auto-Submitted', value: 'auto-replied' },
    { key: 'MIME-Version', value: '1.0' },
  ]);
  const messageId = originalField(content.original.header, 'Message-ID');
  if (messageId !== undefined && /^<[!-;=?-~]{1,900}>$/.test(messageId)) {
    root.setHeader('In-Reply-To', messageId);
    root.setHeader('References', messageId);
  }
  root.createChild('text/plain; charset=utf-8').setContent(textForPeople(content));
  const type = utf8 ? 'message/global-delivery-status' : 'message/delivery-status';
  const encoding = utf8 ? '8bit' : '7bit';
  root
    .createChild()
    .setRaw(
      `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${deliveryStatus(content, utf8)}`,
    );
  appendOriginal(root, content.original, utf8);
  const built = await root.build();
  return { content: built, eightBit: built.some((byte) => byte > 127), utf8 };
}

function toHeader(content: NoticeContent, utf8: boolean) {
  if (content.audience !== 'sender') return { address: `postmaster@${content.hostname}` };
  const address = oneLine(content.sender, ADDRESS_LIMIT);
  // The library would turn it into something else, so it is given as it is to stand there (RFC 6532 §3.2).
  return utf8 ? { prepared: true, value: `<${address}>` } : { address };
}
