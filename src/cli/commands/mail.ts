import type { Command } from 'commander';
import { write } from '../io.ts';
import { formatBytes, formatTime, writeJson } from '../output.ts';
import { type CliSession, readList, wantsJson, withConnection } from '../session.ts';
import { wholeNumber } from './settings.ts';

interface MailRow {
  readonly uid: number;
  readonly size: number;
  readonly receivedAt: string;
  readonly sender: string;
  readonly message: string;
}

interface MailPart {
  readonly entry: MailRow;
  /** Base64. */
  readonly content: string;
  readonly next: number | null;
}

/** Bytes of content that fit into the JSON form. */
const JSON_CONTENT_BYTES = 16 * 1024 * 1024;

/** `mail list|show`: the mailbox of an account. */
export function addMailCommands(program: Command, session: CliSession): void {
  const mail = program.command('mail').description('the mailbox of an account');

  mail
    .command('list <address>')
    .description('show what is in it')
    .option('--json', 'as JSON')
    .action((address: string, _, command: Command) =>
      readList<MailRow>(
        session,
        command,
        'mail.list',
        { address },
        {
          headings: ['UID', 'RECEIVED', 'SIZE', 'SENDER', 'MESSAGE'],
          rows: (row) => [
            [
              String(row.uid),
              formatTime(row.receivedAt),
              formatBytes(row.size),
              `<${row.sender}>`,
              row.message,
            ],
          ],
          empty: 'The mailbox is empty.',
        },
      ),
    );

  mail
    .command('show <address> [uid]')
    .description('print a mail as it is; without uid the newest')
    .option('--json', 'as JSON')
    .action((address: string, uidText: string | undefined, _, command: Command) =>
      withConnection(session, command, false, async (connection) => {
        const uid = uidText === undefined ? null : wholeNumber(uidText, 'uid');
        const json = wantsJson(command);
        const parts: Uint8Array[] = [];
        let part = await connection.call<MailPart>('mail.show', { address, uid });
        for (let bytes = 0; ; ) {
          const content = Buffer.from(part.content, 'base64');
          bytes += content.length;
          if (json) parts.push(content);
          else await write(session.io.stdout, content);
          if (part.next === null || (json && bytes >= JSON_CONTENT_BYTES)) break;
          part = await connection.call<MailPart>('mail.show', {
            address,
            uid: part.entry.uid,
            fromByte: part.next,
          });
        }
        if (!json) return;
        const content = Buffer.concat(parts).toString('utf8');
        await writeJson(session.io, { ...part.entry, content, truncated: part.next !== null });
      }),
    );
}
