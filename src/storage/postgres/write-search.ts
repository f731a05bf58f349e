/** What is searched, kept up to date from the list of new and finished messages. */
import { findSubject } from '../../mail/subject.ts';
import {
  addressesOf,
  foundNumber,
  type SearchedRecipient,
  searchedAddress,
  searchedWords,
} from '../shared/search-states.ts';
import { type JsonRow, numbers, type Runner } from './connection.ts';
import type { WriteContext } from './write-context.ts';

/** Where the subject of a message is looked for that came without one beside it. */
const HEADER_BYTES = 64 * 1024;
const RELIST_SLICE = 500;

interface MessageRow {
  readonly id: number;
  readonly body_id: number;
  readonly sender: string;
  readonly received_at: number;
  readonly subject: string | null;
}

export async function listToSearch({ tx, flags }: WriteContext, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.run('INSERT INTO search_todo (id) SELECT unnest($1::bigint[]) ON CONFLICT (id) DO NOTHING', [
    numbers(ids),
  ]);
  flags.unsearchable = true;
}

export async function indexMessages({ tx }: WriteContext, { limit }: { limit: number }): Promise<number> {
  const listed = await tx.run<{ id: number }>(
    `DELETE FROM search_todo WHERE id IN (
       SELECT id FROM search_todo ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id`,
    [limit],
  );
  if (listed.length === 0) return 0;
  const ids = numbers(listed.map(({ id }) => id));
  const messages = await tx.run<MessageRow>(
    'SELECT id, body_id, sender, received_at, subject FROM message WHERE id = ANY ($1::bigint[])',
    [ids],
  );
  const recipients = await tx.run<SearchedRecipient & { message_id: number; state: number }>(
    'SELECT message_id, address, original, rule, state FROM recipient WHERE message_id = ANY ($1::bigint[])',
    [ids],
  );
  const known = await tx.run<{ id: number }>('SELECT id FROM search_message WHERE id = ANY ($1::bigint[])', [
    ids,
  ]);
  const knownIds = new Set(known.map(({ id }) => id));
  const rows: { messages: JsonRow[]; recipients: JsonRow[]; words: JsonRow[] } = {
    messages: [],
    recipients: [],
    words: [],
  };
  for (const message of messages) {
    const { id, received_at: at } = message;
    const own = recipients.filter((one) => one.message_id === id);
    const sender = searchedAddress(message.sender);
    const state = foundNumber(own.map((one) => one.state));
    rows.messages.push({ id, at, state, sender: sender.address, sender_domain: sender.domain });
    const addresses = new Set(own.flatMap((one) => [...addressesOf(one)]));
    for (const address of addresses) {
      rows.recipients.push({ id, address, domain: searchedAddress(address).domain, at });
    }
    if (knownIds.has(id)) continue;
    for (const word of searchedWords(await subjectOf(tx, message))) rows.words.push({ word, at, id });
  }
  await insertAll(tx, rows);
  return listed.length;
}

async function insertAll(
  tx: Runner,
  rows: { messages: JsonRow[]; recipients: JsonRow[]; words: JsonRow[] },
): Promise<void> {
  await tx.run(
    `INSERT INTO search_message (id, at, state, sender, sender_domain) SELECT id, at, state, sender, sender_domain
     FROM json_to_recordset($1::json) AS x (id bigint, at bigint, state integer, sender text, sender_domain text)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state`,
    [rows.messages],
  );
  await tx.run(
    `INSERT INTO search_recipient (id, address, domain, at) SELECT id, address, domain, at
     FROM json_to_recordset($1::json) AS x (id bigint, address text, domain text, at bigint)
     ON CONFLICT (id, address) DO NOTHING`,
    [rows.recipients],
  );
  if (rows.words.length === 0) return;
  await tx.run(
    `INSERT INTO search_word (word, at, id) SELECT word, at, id
     FROM json_to_recordset($1::json) AS x (word text, at bigint, id bigint)
     ON CONFLICT (word, at, id) DO NOTHING`,
    [rows.words],
  );
}

async function subjectOf(tx: Runner, { id, body_id, subject }: MessageRow): Promise<string> {
  if (subject !== null) return subject;
  const [chunk] = await tx.run<{ data: Uint8Array }>(
    `SELECT substring(data FROM 1 FOR ${HEADER_BYTES}) AS data FROM body_chunk WHERE id = ($1::bigint << 24)`,
    [body_id],
  );
  if (chunk === undefined) return '';
  const text = Buffer.from(chunk.data).toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  const found = findSubject(end < 0 ? text : text.slice(0, end));
  await tx.run('UPDATE message SET subject = $1 WHERE id = $2', [found, id]);
  return found;
}

/** Takes messages that are dropped out of what is searched. */
export async function forgetSearched(tx: Runner, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  const all = numbers(ids);
  const rows = await tx.run<MessageRow>(
    'SELECT id, body_id, sender, received_at, subject FROM message WHERE id = ANY ($1::bigint[])',
    [all],
  );
  const words = rows.flatMap(({ id, received_at: at, subject }) =>
    searchedWords(subject ?? '').map((word): JsonRow => ({ word, at, id })),
  );
  if (words.length > 0) {
    await tx.run(
      `DELETE FROM search_word USING json_to_recordset($1::json) AS x (word text, at bigint, id bigint)
       WHERE search_word.word = x.word AND search_word.at = x.at AND search_word.id = x.id`,
      [words],
    );
  }
  for (const table of ['search_recipient', 'search_message', 'search_todo']) {
    await tx.run(`DELETE FROM ${table} WHERE id = ANY ($1::bigint[])`, [all]);
  }
}

/** Takes a slice out of what is searched and lists it to be put in again; resolves to its last, null at the end. */
export async function relistMessages(
  context: WriteContext,
  { after }: { after: number },
): Promise<number | null> {
  const rows = await context.tx.run<{ id: number }>(
    `SELECT id FROM message WHERE id > $1 ORDER BY id LIMIT ${RELIST_SLICE}`,
    [after],
  );
  const ids = rows.map(({ id }) => id);
  await forgetSearched(context.tx, ids);
  await listToSearch(context, ids);
  return ids.at(-1) ?? null;
}
