/** What a server is told of a message: envelope, size, and what its sender asked for. */
import { encodeUtf8Address, encodeXtext, type RecipientDsn } from '../mail/dsn.ts';
import type { Transaction } from '../smtp/sender-contract.ts';
import type { QueuedMessage, QueuedRecipient } from '../storage/contract.ts';

/** `sender` is the envelope sender to use; `sizeBytes` that of the stored body, to which the header of ours comes. */
export function makeTransaction(
  { header, eightBit, smtputf8, dsn, requireTls }: QueuedMessage,
  sender: string,
  recipients: readonly QueuedRecipient[],
  body: { readonly sizeBytes: number },
): Transaction {
  return {
    sender,
    recipients: recipients.map(({ address }) => address),
    sizeBytes: Buffer.byteLength(header) + body.sizeBytes,
    eightBit,
    smtputf8,
    dsn,
    recipientDsn: recipients.map(passedOn),
    requireTls,
  };
}

/** Longest ORCPT (RFC 3461 §4.2). */
const ORCPT_CHARS = 500;

/**
 * What a server with DSN is told of a recipient. Where an address led on, its sender knows only that address, so a
 * notice from there is to name it (RFC 3461 §5.2.1).
 */
function passedOn({ address, original, dsn }: QueuedRecipient): RecipientDsn {
  if (dsn.orcpt !== null || original.toLowerCase() === address.toLowerCase()) return dsn;
  const orcpt = /^[ -~]*$/.test(original)
    ? `rfc822;${encodeXtext(original)}`
    : `utf-8;${encodeUtf8Address(original)}`;
  return orcpt.length > ORCPT_CHARS ? dsn : { ...dsn, orcpt };
}
