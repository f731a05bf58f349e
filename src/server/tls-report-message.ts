/** A TLS report as mail (RFC 8460 §5.3), into our own queue. */
import MimeNode from 'nodemailer/lib/mime-node';
import { parseAddress } from '../mail/address.ts';
import { failed, ok, type Result } from '../mail/failure.ts';
import { formatMessageId } from '../mail/message-id.ts';
import { decide } from '../receiving/decision.ts';
import { mailDate } from '../receiving/trace.ts';
import type { TlsReport } from '../trust/report.ts';
import { TLS_REPORT_SOURCE } from '../trust/report-source.ts';
import type { Core } from './core.ts';

export interface ReportMail {
  readonly report: TlsReport;
  readonly gzipped: Buffer;
  readonly from: string;
  readonly to: string;
  readonly hostname: string;
  /** Left part of Message-ID. */
  readonly name: string;
  /** ms since 1970. */
  readonly now: number;
}

/** The content: CRLF lines, 7-bit unless an address is not. */
export async function composeReport(mail: ReportMail): Promise<Buffer> {
  const { report, gzipped, from, to, hostname } = mail;
  const root = new MimeNode('multipart/report; report-type=tlsrpt');
  root.setHeader([
    { key: 'From', value: { address: from } },
    { key: 'To', value: { address: to } },
    {
      key: 'Subject',
      value: `Report Domain: ${report.domain} Submitter: ${hostname} Report-ID: <${report.reportId}>`,
    },
    { key: 'Date', value: mailDate(mail.now) },
    { key: 'Message-ID', value: `<${mail.name}@${hostname}>` },
    { key: 'Auto-Submitted', value: 'auto-generated' },
    { key: 'MIME-Version', value: '1.0' },
  ]);
  root
    .createChild('text/plain; charset=utf-8')
    .setContent(
      `This is a report of TLS on connections from ${hostname} to the mail servers of ${report.domain}\r\n` +
        'during one day (RFC 8460). It is made by a program and attached for another one.\r\n',
    );
  root
    .createChild('application/tlsrpt+gzip', { filename: report.fileName })
    .setHeader('Content-Disposition', 'attachment')
    .setHeader('Content-Transfer-Encoding', 'base64')
    .setContent(gzipped);
  // The library would write their names in letters of another size.
  const fields = `TLS-Report-Domain: ${report.domain}\r\nTLS-Report-Submitter: ${hostname}\r\n`;
  return Buffer.concat([Buffer.from(fields), await root.build()]);
}

/** Decided and sent like any other mail; nobody is told when it cannot be delivered. */
export async function mailReport(
  core: Core,
  report: TlsReport,
  gzipped: Buffer,
  { from, to, now }: { readonly from: string; readonly to: string; readonly now: number },
): Promise<Result<null, string>> {
  const { storage, settings, config } = core;
  const recipient = parseAddress(to);
  if (!recipient.ok) return failed(`${to} is not an address`);
  const { reply, recipients } = await decide(core.decision, {
    recipient: recipient.value,
    client: { kind: 'internal', address: null, user: null },
    sender: null,
    declaredSizeBytes: 0,
    settings: settings.current(),
    purpose: 'queue',
  });
  if (reply.code >= 400 || recipients.length === 0) return failed(`${reply.code} ${reply.lines.join(' ')}`);
  const id = storage.nextMessageId();
  const { hostname } = config;
  const name = `tls-report.${formatMessageId(id)}.${now}`;
  const content = await composeReport({ report, gzipped, from, to, hostname, name, now });
  const body = storage.openWriter();
  if (!body.append(content)) {
    body.abort();
    return failed('the store takes no mail at this moment');
  }
  await storage.accept({
    ...{ id, body, sender: from, source: TLS_REPORT_SOURCE, header: '', receivedAt: Date.now() },
    smtputf8: recipient.value.utf8,
    eightBit: content.some((byte) => byte > 127),
    recipients: recipients.map((one) => ({ ...one, dsn: { notify: ['NEVER'], orcpt: null } })),
  });
  return ok(null);
}
