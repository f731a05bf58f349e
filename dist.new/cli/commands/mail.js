import { write } from '../io.js';
import { formatBytes, formatTime, writeJson } from '../output.js';
import { readList, wantsJson, withConnection } from '../session.js';
import { wholeNumber } from './settings.js';
/** Bytes of content that fit into the JSON form. */
const JSON_CONTENT_BYTES = 16 * 1024 * 1024;
/** `mail list|show`: the mailbox of an account. */
export function addMailCommands(program, session) {
    const mail = program.command('mail').description('the mailbox of an account');
    mail
        .command('list <address>')
        .description('show what is in it')
        .option('--json', 'as JSON')
        .action((address, _, command) => readList(session, command, 'mail.list', { address }, {
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
    }));
    mail
        .command('show <address> [uid]')
        .description('print a mail as it is; without uid the newest')
        .option('--json', 'as JSON')
        .action((address, uidText, _, command) => withConnection(session, command, false, async (connection) => {
        const uid = uidText === undefined ? null : wholeNumber(uidText, 'uid');
        const json = wantsJson(command);
        const parts = [];
        let part = await connection.call('mail.show', { address, uid });
        for (let bytes = 0;;) {
            const content = Buffer.from(part.content, 'base64');
            bytes += content.length;
            if (json)
                parts.push(content);
            else
                await write(session.io.stdout, content);
            if (part.next === null || (json && bytes >= JSON_CONTENT_BYTES))
                break;
            part = await connection.call('mail.show', {
                address,
                uid: part.entry.uid,
                fromByte: part.next,
            });
        }
        if (!json)
            return;
        const content = Buffer.concat(parts).toString('utf8');
        await writeJson(session.io, { ...part.entry, content, truncated: part.next !== null });
    }));
}
