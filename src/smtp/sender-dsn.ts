/** What a server that offers it is told of the notices a sender wants (RFC 3461 §5.2.1), and of REQUIRETLS (RFC 8689). */
import type { MessageDsn, RecipientDsn } from '../mail/dsn.ts';
import { type Failure, failure } from '../mail/failure.ts';

type Extensions = ReadonlyMap<string, string>;

/** What a transaction may carry of its sender's wishes. */
export interface PassedOn {
  readonly dsn?: MessageDsn;
  /** By position of the recipient. */
  readonly recipientDsn?: readonly RecipientDsn[];
  /** Only over verified TLS, to a server that promises the same. */
  readonly requireTls?: boolean;
}

/** Parameters of MAIL, each with a space in front. */
export function mailParameters({ dsn, requireTls }: PassedOn, extensions: Extensions): string {
  let text = '';
  if (dsn !== undefined && extensions.has('DSN')) {
    // Where TLS is required the whole message must not come back (RFC 8689 §5).
    const ret = requireTls === true && dsn.ret !== null ? 'HDRS' : dsn.ret;
    if (ret !== null) text += ` RET=${ret}`;
    if (dsn.envid !== null) text += ` ENVID=${dsn.envid}`;
  }
  if (requireTls === true && extensions.has('REQUIRETLS')) text += ' REQUIRETLS';
  return text;
}

/** Parameters of RCPT for the recipient at `index`, each with a space in front. */
export function rcptParameters({ recipientDsn }: PassedOn, index: number, extensions: Extensions): string {
  const dsn = recipientDsn?.[index];
  if (dsn === undefined || !extensions.has('DSN')) return '';
  const notify = dsn.notify === null ? '' : ` NOTIFY=${dsn.notify.join(',')}`;
  return `${notify}${dsn.orcpt === null ? '' : ` ORCPT=${dsn.orcpt}`}`;
}

/** Why a message that requires TLS cannot go over this connection, or null (RFC 8689 §4.2.1). */
export function missesTls(
  { requireTls }: PassedOn,
  extensions: Extensions,
  secure: { readonly verified: boolean } | null,
): Failure | null {
  if (requireTls !== true) return null;
  if (secure?.verified !== true)
    return failure(
      550,
      '5.7.30',
      'The message must go over verified TLS only, which this server does not give',
    );
  if (extensions.has('REQUIRETLS')) return null;
  return failure(
    550,
    '5.7.30',
    'The message must go over TLS only, and this server does not promise that (REQUIRETLS)',
  );
}
