/** A small real message of this server's own, decided and sent like any other. */
import { OperationError, type TestMessage } from '../admin/context.ts';
import { parseAddress } from '../mail/address.ts';
import { formatMessageId, type MessageId } from '../mail/message-id.ts';
import { decide } from '../receiving/decision.ts';
import { mailDate } from '../receiving/trace.ts';
import type { Core } from './core.ts';

/** Rejects with `OperationError` when the recipient would be refused. */
export async function sendTestMessage(core: Core, { to, from }: TestMessage): Promise<MessageId> {
  const { storage, settings, config, trace } = core;
  const recipient = parseAddress(to);
  if (!recipient.ok) throw new OperationError(`${to} is not an address: ${recipient.failure.text}`);
  const sender = parseAddress(from);
  const decided = await decide(core.decision, {
    recipient: recipient.value,
    client: { kind: 'local', address: null, user: null },
    sender: sender.ok ? sender.value : null,
    declaredSizeBytes: 0,
    settings: settings.current(),
    purpose: 'queue',
  });
  if (decided.reply.code >= 400 || decided.recipients.length === 0) {
    const said = `${decided.reply.code} ${decided.reply.enhanced ?? ''} ${decided.reply.lines.join(' ')}`;
    throw new OperationError(`the test message would be refused: ${said}`, 'Correct the address.', 1, {
      errors: [{ key: 'to', message: said, wouldDo: '' }],
    });
  }
  const id = storage.nextMessageId();
  const receivedAt = Date.now();
  const subject = 'Test message from CMail';
  const content = Buffer.from(
    `From: <${from}>\r\nTo: <${to}>\r\nSubject: ${subject}\r\nDate: ${mailDate(receivedAt)}\r\n` +
      `Message-ID: <test.${formatMessageId(id)}.${receivedAt}@${config.hostname}>\r\nMIME-Version: 1.0\r\n` +
      'Content-Type: text/plain; charset=utf-8\r\nAuto-Submitted: auto-generated\r\n\r\n' +
      `This is a test message of the mail server ${config.hostname}.\r\nIt was asked for by an administrator; nobody needs to answer it.\r\n`,
  );
  const body = storage.openWriter();
  if (!body.append(content)) {
    body.abort();
    throw new OperationError('the store takes no mail at this moment', 'Try again shortly.', 1, {
      kind: 'unavailable',
    });
  }
  await storage.accept({
    id,
    body,
    subject,
    sender: from,
    source: { kind: 'local', address: null, helo: config.hostname, user: null, protocol: null },
    smtputf8: recipient.value.utf8 || (sender.ok && sender.value.utf8),
    eightBit: false,
    header: trace.receivedField({
      id,
      hostname: config.hostname,
      helo: config.hostname,
      address: '127.0.0.1',
      protocol: 'ESMTP',
      tls: null,
      receivedAt,
    }),
    receivedAt,
    recipients: decided.recipients,
  });
  return id;
}
