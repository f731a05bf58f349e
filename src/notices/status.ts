/** The part of a notice for programs: the fields of RFC 3464 §2, also in the form of RFC 6533 §3. */
import { encodeUtf8Address, originalRecipient } from '../mail/dsn.ts';
import type { NoticeContent } from './compose.ts';
import type { NoticeRecipient } from './contract.ts';
import { ADDRESS_LIMIT } from './people.ts';
import { asciiLine, foldField, formatDate, oneLine } from './text.ts';

/** One word of this length still fits a line of 998 octets. */
const DIAGNOSTIC_LIMIT = 900;
/** The same in UTF-8. */
const UTF8_DIAGNOSTIC_LIMIT = 240;

const ACTIONS = { failure: 'failed', delay: 'delayed', success: 'delivered' } as const;
const UNKNOWN_STATUS = { failure: '5.0.0', delay: '4.0.0', success: '2.0.0' } as const;

/** `utf8`: addresses and replies beyond ASCII stand as they are. */
export function deliveryStatus(content: NoticeContent, utf8: boolean): string {
  const { envid, hostname, arrivedAt } = content;
  const message =
    (envid === null ? '' : foldField('Original-Envelope-Id', asciiLine(envid, ADDRESS_LIMIT))) +
    foldField('Reporting-MTA', `dns; ${hostname}`) +
    foldField('Arrival-Date', formatDate(arrivedAt));
  const groups = content.recipients.map((recipient) => recipientStatus(content, recipient, utf8));
  return [message, ...groups].join('\r\n');
}

function recipientStatus(content: NoticeContent, recipient: NoticeRecipient, utf8: boolean): string {
  const { kind } = content;
  const status = /^[245]\.\d{1,3}\.\d{1,3}$/.test(recipient.status) ? recipient.status : UNKNOWN_STATUS[kind];
  let fields =
    originalRecipientField(recipient, utf8) +
    foldField('Final-Recipient', typedAddress(recipient.address, utf8)) +
    foldField('Action', recipient.action ?? ACTIONS[kind]) +
    foldField('Status', status);
  const remote = (recipient.remoteMta ?? '').replace(/[^\w.:[\]-]/g, '').slice(0, 255);
  if (remote !== '') fields += foldField('Remote-MTA', `dns; ${remote}`);
  const words = recipient.diagnostic ?? '';
  const diagnostic = utf8 ? oneLine(words, UTF8_DIAGNOSTIC_LIMIT) : asciiLine(words, DIAGNOSTIC_LIMIT);
  if (diagnostic !== '') fields += foldField('Diagnostic-Code', `smtp; ${diagnostic}`);
  fields += foldField('Last-Attempt-Date', formatDate(content.now));
  if (recipient.outlook !== undefined) {
    fields += foldField('Will-Retry-Until', formatDate(recipient.outlook.giveUpAt));
  }
  return fields;
}

/**
 * What ORCPT said. Without one there is no such field (RFC 3461 §6.3), unless the address led elsewhere: then it is
 * what CMail would have passed on as ORCPT (RFC 3461 §5.2.1), so that the sender knows the recipient again.
 */
function originalRecipientField({ address, original, dsn }: NoticeRecipient, utf8: boolean): string {
  if (dsn.orcpt !== null) {
    const { type, address: decoded } = originalRecipient(dsn.orcpt);
    if (type === 'rfc822' || type === 'utf-8')
      return foldField('Original-Recipient', typedAddress(decoded, utf8, type));
    return foldField('Original-Recipient', `${type}; ${asciiLine(decoded, ADDRESS_LIMIT)}`);
  }
  if (address.toLowerCase() === original.toLowerCase()) return '';
  return foldField('Original-Recipient', typedAddress(original, utf8));
}

/** `rfc822` for ASCII, else `utf-8`: as it is, or in the 7-bit form utf-8-addr-xtext (RFC 6533 §3). */
function typedAddress(address: string, utf8: boolean, type = 'rfc822'): string {
  const line = oneLine(address, ADDRESS_LIMIT);
  if (/^[\x20-\x7e]*$/.test(line)) return `${type}; ${line}`;
  return `utf-8; ${utf8 ? line : encodeUtf8Address(line)}`;
}
