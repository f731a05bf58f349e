import { findSubject } from '../../mail/subject.ts';
import {
  addressesOf,
  foundNumber,
  type SearchedRecipient,
  searchedAddress,
  searchedWords,
} from '../shared/search-states.ts';
import { rowOf, rowsOf, type WriterContext } from './writer-context.ts';

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

/** What is searched, kept up to date from the list of new and finished messages. */
export class SearchTables {
  readonly #listed;
  readonly #unlist;
  readonly #message;
  readonly #recipients;
  readonly #firstChunk;
  readonly #setSubject;
  readonly #known;
  readonly #insert;
  readonly #setState;
  readonly #insertRecipient;
  readonly #insertWord;
  readonly #remove;
  readonly #removeRecipients;
  readonly #removeWord;
  readonly #list;
  readonly #slice;

  constructor({ db }: WriterContext) {
    this.#listed = db.prepare('SELECT id FROM search_todo ORDER BY id LIMIT ?');
    this.#unlist = db.prepare('DELETE FROM search_todo WHERE id = ?');
    this.#message = db.prepare('SELECT id, body_id, sender, received_at, subject FROM message WHERE id = ?');
    this.#recipients = db.prepare(
      'SELECT address, original, rule, state FROM recipient WHERE message_id = ?',
    );
    this.#firstChunk = db.prepare('SELECT data FROM body_chunk WHERE id = (? << 24)');
    this.#setSubject = db.prepare('UPDATE message SET subject = ? WHERE id = ?');
    this.#known = db.prepare('SELECT id FROM search_message WHERE id = ?');
    this.#insert = db.prepare(
      'INSERT INTO search_message (id, at, state, sender, sender_domain) VALUES (?, ?, ?, ?, ?)',
    );
    this.#setState = db.prepare('UPDATE search_message SET state = ? WHERE id = ?');
    this.#insertRecipient = db.prepare(
      'INSERT OR IGNORE INTO search_recipient (id, address, domain, at) VALUES (?, ?, ?, ?)',
    );
    this.#insertWord = db.prepare('INSERT OR IGNORE INTO search_word (word, at, id) VALUES (?, ?, ?)');
    this.#remove = db.prepare('DELETE FROM search_message WHERE id = ?');
    this.#removeRecipients = db.prepare('DELETE FROM search_recipient WHERE id = ?');
    this.#removeWord = db.prepare('DELETE FROM search_word WHERE word = ? AND at = ? AND id = ?');
    this.#list = db.prepare('INSERT OR IGNORE INTO search_todo (id) VALUES (?)');
    this.#slice = db.prepare(`SELECT id FROM message WHERE id > ? ORDER BY id LIMIT ${RELIST_SLICE}`);
  }

  index(limit: number): number {
    const listed = rowsOf<{ id: number }>(this.#listed, limit);
    for (const { id } of listed) {
      this.#indexOne(id);
      this.#unlist.run(id);
    }
    return listed.length;
  }

  #indexOne(id: number): void {
    const message = rowOf<MessageRow>(this.#message, id);
    if (message === undefined) return;
    const recipients = rowsOf<SearchedRecipient & { state: number }>(this.#recipients, id);
    const state = foundNumber(recipients.map((one) => one.state));
    const at = message.received_at;
    if (rowOf(this.#known, id) === undefined) {
      const sender = searchedAddress(message.sender);
      this.#insert.run(id, at, state, sender.address, sender.domain);
      for (const word of searchedWords(this.#subjectOf(message))) this.#insertWord.run(word, at, id);
    } else this.#setState.run(state, id);
    // Also again at the end: recipients may have come on the way (an alias took over).
    for (const recipient of recipients) {
      for (const one of addressesOf(recipient)) {
        const wanted = searchedAddress(one);
        this.#insertRecipient.run(id, wanted.address, wanted.domain, at);
      }
    }
  }

  #subjectOf({ id, body_id, subject }: MessageRow): string {
    if (subject !== null) return subject;
    const data = rowOf<{ data: Uint8Array }>(this.#firstChunk, body_id)?.data;
    if (data === undefined) return '';
    const text = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, HEADER_BYTES)).toString(
      'latin1',
    );
    const end = text.indexOf('\r\n\r\n');
    const found = findSubject(end < 0 ? text : text.slice(0, end));
    this.#setSubject.run(found, id);
    return found;
  }

  /** Takes a message that is being dropped out of what is searched; its rows must still be there. */
  forget(id: number): void {
    const message = rowOf<MessageRow>(this.#message, id);
    if (message === undefined) return;
    for (const word of searchedWords(message.subject ?? ''))
      this.#removeWord.run(word, message.received_at, id);
    this.#removeRecipients.run(id);
    this.#remove.run(id);
    this.#unlist.run(id);
  }

  /** Takes a slice out of what is searched and lists it to be put in again; resolves to its last, null at the end. */
  relist(after: number): number | null {
    const slice = rowsOf<{ id: number }>(this.#slice, after);
    for (const { id } of slice) {
      this.forget(id);
      this.#list.run(id);
    }
    return slice.at(-1)?.id ?? null;
  }
}
