/** Rows of many messages on their way into the tables, a statement for each table. */
import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN, notifyNumber } from '../../mail/dsn.ts';
import type { AcceptInput, NewRecipient, NoticeInput } from '../contract.ts';
import { StorageError } from '../contract.ts';
import { type HoldAll, queueOnHold } from '../shared/claims.ts';
import { CHUNK_BYTES, DELIVERED, HELD, QUEUED, sourceKindNumber } from '../shared/rows.ts';
import type { JsonRow, Runner } from './connection.ts';
import type { Flags } from './lane.ts';
import { addEvents, type EventRow } from './write-events.ts';
import type { Mailboxes } from './write-mailboxes.ts';

/** What a message gives each of its recipients' rows. */
export interface MessageFacts {
  readonly id: number;
  readonly bodyId: number;
  readonly sizeBytes: number;
  readonly sender: string;
  readonly header: string;
  readonly receivedAt: number;
}

export interface Chunk {
  readonly bodyId: number;
  readonly n: number;
  readonly data: Uint8Array;
}

type LocalRecipient = NewRecipient & { readonly to: { readonly type: 'local' } };

export function isLocal(recipient: NewRecipient): recipient is LocalRecipient {
  return recipient.to.type === 'local';
}

/** Bytes of chunks in one statement, so that none keeps the event loop for long. */
const CHUNKS_AT_ONCE_BYTES = 1024 * 1024;

/** Adds chunks to `body_chunk`. */
export async function insertChunks(tx: Runner, chunks: readonly Chunk[]): Promise<void> {
  for (let from = 0; from < chunks.length; ) {
    let bytes = 0;
    let to = from;
    while (to < chunks.length && (to === from || bytes < CHUNKS_AT_ONCE_BYTES))
      bytes += chunks[to++]?.data.byteLength ?? 0;
    const part = chunks.slice(from, to);
    const ids = part.map(({ bodyId, n }) => (BigInt(bodyId) << 24n) + BigInt(n));
    const hex = part.map(({ data }) => toHex(data)).join(',');
    await tx.run(
      `INSERT INTO body_chunk (id, data) SELECT x.id, decode(x.hex, 'hex')
       FROM unnest($1::bigint[], string_to_array($2::text, ',')) AS x (id, hex)`,
      [`{${ids.join(',')}}`, hex],
    );
    from = to;
  }
}

function toHex(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
}

/** Cuts a body, or the rest of one, into chunks from number `first`. */
export function chunksOf(bodyId: number, first: number, tail: Uint8Array): Chunk[] {
  const chunks: Chunk[] = [];
  for (let from = 0; from < tail.byteLength; from += CHUNK_BYTES) {
    chunks.push({ bodyId, n: first + chunks.length, data: tail.subarray(from, from + CHUNK_BYTES) });
  }
  return chunks;
}

/** Collects the rows; nothing is sent before `flush`. */
export class WriteBatch {
  readonly mailboxes: Mailboxes;
  readonly events: EventRow[] = [];
  readonly chunks: Chunk[] = [];
  readonly #nowMs: number;
  readonly #holdAll: HoldAll | null;
  readonly #flags: Flags;
  readonly #bodies: JsonRow[] = [];
  readonly #messages: JsonRow[] = [];
  readonly #recipients: JsonRow[] = [];
  readonly #entries: JsonRow[] = [];

  constructor(place: { nowMs: number; holdAll: HoldAll | null; flags: Flags; mailboxes: Mailboxes }) {
    this.#nowMs = place.nowMs;
    this.#holdAll = place.holdAll;
    this.#flags = place.flags;
    this.mailboxes = place.mailboxes;
  }

  addBody(body: { id: number; refs: number; sizeBytes: number; chunks: number }): void {
    this.#bodies.push({ id: body.id, refs: body.refs, size: body.sizeBytes, chunks: body.chunks });
  }

  /** References a new message's body gets: one a mailbox, and the message's own while something is to be sent. */
  static refsOf(recipients: readonly NewRecipient[]): number {
    const local = recipients.filter(isLocal).length;
    return local + (local < recipients.length ? 1 : 0);
  }

  addMessage(input: Omit<AcceptInput, 'body'>, bodyId: number, sizeBytes: number): void {
    const { id, source, sender, header, receivedAt, recipients, dsn = NO_MESSAGE_DSN } = input;
    const open = recipients.filter((recipient) => !isLocal(recipient)).length;
    this.#messages.push({
      id,
      body_id: bodyId,
      sender,
      size: sizeBytes,
      received_at: receivedAt,
      finished_at: open > 0 ? null : this.#nowMs,
      open_count: open,
      source_kind: sourceKindNumber(source.kind),
      source_address: source.address,
      source_helo: source.helo,
      source_user: source.user,
      source_protocol: source.protocol,
      smtputf8: input.smtputf8 ? 1 : 0,
      eight_bit: input.eightBit ? 1 : 0,
      header,
      notice_for: input.noticeFor ?? null,
      subject: input.subject ?? null,
      dsn_ret: dsn.ret,
      dsn_envid: dsn.envid,
      require_tls: input.requireTls === true ? 1 : 0,
    });
    this.addRecipients({ id, bodyId, sizeBytes, sender, header, receivedAt }, recipients, 0, null);
  }

  addNotice(notice: NoticeInput): void {
    const { id, content, recipients } = notice;
    const chunks = chunksOf(id, 0, content);
    this.chunks.push(...chunks);
    const refs = WriteBatch.refsOf(recipients);
    this.addBody({ id, refs, sizeBytes: content.byteLength, chunks: chunks.length });
    this.addMessage(notice, id, content.byteLength);
  }

  /** Adds recipients from position `first`; local ones are delivered. Their mailboxes are locked already. */
  addRecipients(
    message: MessageFacts,
    recipients: readonly NewRecipient[],
    first: number,
    decidedAt: number | null,
  ): void {
    recipients.forEach((recipient, n) => {
      const { address, original, rule, to, dsn = NO_RECIPIENT_DSN } = recipient;
      const row = {
        message_id: message.id,
        idx: first + n,
        address,
        original,
        rule,
        decided_at: decidedAt,
        dsn_notify: notifyNumber(dsn.notify),
        dsn_orcpt: dsn.orcpt,
      };
      if (isLocal(recipient)) {
        this.#deliver(message, recipient);
        this.#recipients.push({ ...row, state: DELIVERED, via: 'mailbox', destination: null, due_at: null });
      } else if (to.type === 'queue') {
        const dueAt = to.notBefore ?? this.#nowMs;
        const state = this.#holdAll !== null ? HELD : QUEUED;
        this.#recipients.push({ ...row, state, via: null, destination: to.destination, due_at: dueAt });
        this.#queued(message.id, address, dueAt);
      }
    });
  }

  #queued(messageId: number, address: string, dueAt: number): void {
    if (this.#holdAll !== null) this.events.push({ messageId, event: queueOnHold(address, this.#holdAll) });
    else if (dueAt <= this.#nowMs) this.#flags.queued = true;
  }

  #deliver(message: MessageFacts, { to }: LocalRecipient): void {
    const { accountId, header } = to.delivery;
    const lines = header + message.header;
    const size = Buffer.byteLength(lines) + message.sizeBytes;
    const { mailboxId, uid, modseq } = this.mailboxes.take(accountId, size);
    this.#entries.push({
      mailbox_id: mailboxId,
      uid,
      body_id: message.bodyId,
      size,
      modseq,
      received_at: message.receivedAt,
      message_id: message.id,
      sender: message.sender,
      header: lines,
    });
  }

  async flush(tx: Runner): Promise<void> {
    await insertChunks(tx, this.chunks);
    if (this.#bodies.length > 0) {
      await tx.run(
        `INSERT INTO body (id, refs, size, chunks) SELECT id, refs, size, chunks
         FROM json_to_recordset($1::json) AS x (id bigint, refs bigint, size bigint, chunks integer)`,
        [this.#bodies],
      );
    }
    if (this.#messages.length > 0) {
      await tx.run(INSERT_MESSAGES, [this.#messages]);
      await tx.run(INSERT_TO_SEARCH, [this.#messages]);
      this.#flags.unsearchable = true;
    }
    if (this.#recipients.length > 0) await tx.run(INSERT_RECIPIENTS, [this.#recipients]);
    if (this.#entries.length > 0) await tx.run(INSERT_ENTRIES, [this.#entries]);
    await this.mailboxes.flush(tx);
    await addEvents(tx, this.events, this.#nowMs);
  }
}

const MESSAGE_COLUMNS = `id, body_id, sender, size, received_at, finished_at, open_count, source_kind, source_address,
  source_helo, source_user, source_protocol, smtputf8, eight_bit, header, notice_for, subject, dsn_ret, dsn_envid, require_tls`;
const INSERT_MESSAGES = `INSERT INTO message (${MESSAGE_COLUMNS}) SELECT ${MESSAGE_COLUMNS}
  FROM json_to_recordset($1::json) AS x (id bigint, body_id bigint, sender text, size bigint, received_at bigint,
    finished_at bigint, open_count integer, source_kind integer, source_address text, source_helo text,
    source_user text, source_protocol text, smtputf8 integer, eight_bit integer, header text, notice_for bigint,
    subject text, dsn_ret text, dsn_envid text, require_tls integer)`;

/** New ones are made searchable beside the mail. */
const INSERT_TO_SEARCH = `INSERT INTO search_todo (id) SELECT id FROM json_to_recordset($1::json) AS x (id bigint)
  ON CONFLICT (id) DO NOTHING`;

const INSERT_RECIPIENTS = `INSERT INTO recipient
  (message_id, idx, address, original, rule, state, destination, via, next_attempt_at, due_at, decided_at,
   dsn_notify, dsn_orcpt)
  SELECT message_id, idx, address, original, rule, state, destination, via, due_at, due_at, decided_at,
    dsn_notify, dsn_orcpt
  FROM json_to_recordset($1::json) AS x (message_id bigint, idx integer, address text, original text, rule text,
    state integer, destination text, via text, due_at bigint, decided_at bigint,
    dsn_notify integer, dsn_orcpt text)`;

const INSERT_ENTRIES = `INSERT INTO mailbox_message
  (mailbox_id, uid, body_id, size, flags, modseq, received_at, message_id, sender, header)
  SELECT mailbox_id, uid, body_id, size, 0, modseq, received_at, message_id, sender, header
  FROM json_to_recordset($1::json) AS x (mailbox_id bigint, uid bigint, body_id bigint, size bigint, modseq bigint,
    received_at bigint, message_id bigint, sender text, header text)`;

/** The accounts that recipients are delivered to. */
export function accountsOf(recipients: readonly NewRecipient[]): number[] {
  return recipients.filter(isLocal).map(({ to }) => to.delivery.accountId);
}

/** `conflict` when one of the accounts is gone. */
export function checkAccounts(mailboxes: Mailboxes, recipients: readonly NewRecipient[]): void {
  for (const { to, address } of recipients.filter(isLocal)) {
    if (mailboxes.has(to.delivery.accountId)) continue;
    throw new StorageError('conflict', `the account that ${address} is delivered to does not exist any more`);
  }
}
