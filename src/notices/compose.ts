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
export async function composeNotice(notice: NoticeContent): Promise<Composed> {
  const utf8 = notice.audience === 'sender' && /[^\x00-\x7f]/.test(notice.sender);
  const root = new MimeNode('multipart/report; report-type=delivery-status');
  root.setHeader([
    { key: 'From', value: { name: 'Mail Delivery System', address: `postmaster@${notice.hostname}` } },
    ...(utf8 ? [] : [{ key: 'To', value: { address: addressee(notice) } }]),
    { key: 'Subject', value: subject(notice) },
    { key: 'Date', value: formatDate(notice.now) },
    { key: 'Message-ID', value: `<${randomUUID()}@${notice.hostname}>` },
    { key: 'Auto-Submitted', value: 'auto-replied' },
    { key: 'MIME-Version', value: '1.0' },
  ]);
  const messageId = originalField(notice.original.header, 'Message-ID');
  if (messageId !== undefined && /^<[!-;=?-~]{1,900}>$/.test(messageId)) {
    root.setHeader('In-Reply-To', messageId);
    root.setHeader('References', messageId);
  }
  root.createChild('text/plain; charset=utf-8').setContent(textForPeople(notice));
  const type = utf8 ? 'message/global-delivery-status' : 'message/delivery-status';
  const encoding = utf8 ? '8bit' : '7bit';
  root
    .createChild()
    .setRaw(
      `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${deliveryStatus(notice, utf8)}`,
    );
  appendOriginal(root, notice.original, utf8);
  const built = await root.build();
  // The library would encode the address, which here stands as it is (RFC 6532 §3.2).
  const content = utf8 ? Buffer.concat([Buffer.from(utf8Recipient(notice.sender)), built]) : built;
  return { content, eightBit: content.some((byte) => byte > 127), utf8 };
}

/** Room for every address of SMTP in a line of 998 octets, whatever its letters. */
const UTF8_ADDRESS_LIMIT = 240;

function utf8Recipient(sender: string): string {
  return `To: <${oneLine(sender, UTF8_ADDRESS_LIMIT)}>\r\n`;
}

function addressee({ audience, sender, hostname }: NoticeContent): string {
  return audience === 'sender' ? oneLine(sender, ADDRESS_LIMIT) : `postmaster@${hostname}`;
}
