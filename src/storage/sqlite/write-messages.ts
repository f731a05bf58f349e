import { NO_MESSAGE_DSN, NO_RECIPIENT_DSN, notifyNumber } from '../../mail/dsn.ts';
import { findSubject } from '../../mail/subject.ts';
import type { AcceptInput, NewEvent, NewRecipient, NoticeInput } from '../contract.ts';
import { StorageError } from '../contract.ts';
import { holdAllOf, queueOnHold } from '../shared/claims.ts';
import type { AcceptOp } from '../shared/operations.ts';
import { DELIVERED, HELD, QUEUED, sourceKindNumber } from '../shared/rows.ts';
import type { BodyTable } from './write-bodies.ts';
import { rowOf, type WriterContext } from './writer-context.ts';

/** Where the subject of a notice is looked for. */
const HEADER_BYTES = 8 * 1024;

/** What a message gives each of its recipients' rows. */
interface MessageFacts {
  readonly id: number;
  readonly bodyId: number;
  readonly sizeBytes: number;
  readonly sender: string;
  readonly header: string;
  readonly receivedAt: number;
}

type LocalRecipient = NewRecipient & { readonly to: { readonly type: 'local' } };

function isLocal(recipient: NewRecipient): recipient is LocalRecipient {
  return recipient.to.type === 'local';
}

/** Stores messages, their recipients, their events and what goes into mailboxes. */
export class MessageTables {
  readonly #context: WriterContext;
  readonly #bodies: BodyTable;
  readonly #insertMessage;
  readonly #insertDelivered;
  readonly #insertQueued;
  readonly #nextUid;
  readonly #insertEntry;
  readonly #addUsed;
  readonly #lastEvent;
  readonly #insertEvent;
  readonly #holdAll;
  readonly #closeSome;
  readonly #listToSearch;

  constructor(context: WriterContext, bodies: BodyTable) {
    const { db } = context;
    this.#context = context;
    this.#bodies = bodies;
    this.#insertMessage = db.prepare(`INSERT INTO message
      (id, body_id, sender, size, received_at, finished_at, open_count, source_kind, source_address, source_helo,
       source_user, source_protocol, smtputf8, eight_bit, header, notice_for, subject,
       dsn_ret, dsn_envid, require_tls)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#insertDelivered = db.prepare(`INSERT INTO recipient
      (message_id, idx, address, original, rule, state, via, decided_at, dsn_notify, dsn_orcpt)
      VALUES (?, ?, ?, ?, ?, ${DELIVERED}, 'mailbox', ?, ?, ?)`);
    this.#insertQueued = db.prepare(`INSERT INTO recipient
      (message_id, idx, address, original, rule, state, destination, next_attempt_at, due_at, decided_at,
       dsn_notify, dsn_orcpt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11)`);
    this.#nextUid = db.prepare(`UPDATE mailbox SET uidnext = uidnext + 1, modseq = modseq + 1
      WHERE account_id = ? AND name = 'INBOX' RETURNING id, uidnext - 1 AS uid, modseq`);
    this.#insertEntry = db.prepare(`INSERT INTO mailbox_message
      (mailbox_id, uid, body_id, size, flags, modseq, received_at, message_id, sender, header)
      VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?)`);
    this.#addUsed = db.prepare('UPDATE account SET used_bytes = used_bytes + ? WHERE id = ?');
    this.#lastEvent = db.prepare('SELECT max(n) AS n FROM event WHERE message_id = ?');
    this.#insertEvent = db.prepare(
      'INSERT INTO event (message_id, n, at, kind, recipient, detail) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#holdAll = db.prepare("SELECT value, note FROM sequence WHERE name = 'hold_all'");
    this.#listToSearch = db.prepare('INSERT OR IGNORE INTO search_todo (id) VALUES (?)');
    this.#closeSome = db.prepare(`UPDATE message SET open_count = open_count + ?1,
      finished_at = CASE WHEN open_count + ?1 = 0 THEN ?2 ELSE NULL END
      WHERE id = ?3 RETURNING open_count, body_id`);
  }

  accept(input: AcceptOp, tail: Uint8Array): void {
    const { bodyId, storedChunks, sizeBytes, recipients } = input;
    this.#accept(input, bodyId, sizeBytes, (refs) =>
      this.#bodies.complete({ bodyId, storedChunks, sizeBytes, refs }, tail),
    );
    if (recipients.length === 0) throw new StorageError('internal', 'a message needs a recipient');
    this.addEvents(input.id, input.events ?? []);
    for (const notice of input.notices ?? []) this.acceptNotice(notice);
  }

  acceptNotice(notice: NoticeInput): void {
    const sizeBytes = notice.content.byteLength;
    const bodyId = notice.id;
    const subject =
      notice.subject ?? findSubject(Buffer.from(notice.content).toString('latin1', 0, HEADER_BYTES));
    this.#accept({ ...notice, subject }, bodyId, sizeBytes, (refs) =>
      this.#bodies.complete({ bodyId, storedChunks: 0, sizeBytes, refs }, notice.content),
    );
  }

  #accept(
    input: Omit<AcceptInput, 'body'>,
    bodyId: number,
    sizeBytes: number,
    putBody: (refs: number) => void,
  ): void {
    const { id, source, recipients, dsn = NO_MESSAGE_DSN } = input;
    const local = recipients.filter(isLocal).length;
    const open = recipients.length - local;
    // Each mailbox entry refers to the body, and the message itself while it has something to send.
    putBody(local + (open > 0 ? 1 : 0));
    this.#insertMessage.run(
      id,
      bodyId,
      input.sender,
      sizeBytes,
      input.receivedAt,
      open > 0 ? null : Date.now(),
      open,
      sourceKindNumber(source.kind),
      source.address,
      source.helo,
      source.user,
      source.protocol,
      input.smtputf8 ? 1 : 0,
      input.eightBit ? 1 : 0,
      input.header,
      input.noticeFor ?? null,
      input.subject ?? null,
      dsn.ret,
      dsn.envid,
      input.requireTls === true ? 1 : 0,
    );
    this.#toSearch(id);
    const facts = {
      id,
      bodyId,
      sizeBytes,
      sender: input.sender,
      header: input.header,
      receivedAt: input.receivedAt,
    };
    this.insertRecipients(facts, recipients, 0, null);
  }

  /** Adds recipients from position `first`; local ones are delivered. Resolves nothing about references. */
  insertRecipients(
    message: MessageFacts,
    recipients: readonly NewRecipient[],
    first: number,
    decidedAt: number | null,
  ): void {
    recipients.forEach((recipient, n) => {
      const index = first + n;
      if (isLocal(recipient)) {
        this.#deliver(message, recipient);
        const { address, original, rule, dsn = NO_RECIPIENT_DSN } = recipient;
        const asked = [notifyNumber(dsn.notify), dsn.orcpt] as const;
        this.#insertDelivered.run(message.id, index, address, original, rule, decidedAt, ...asked);
      } else {
        this.#queue(message, recipient, index, decidedAt);
      }
    });
  }

  #queue(message: MessageFacts, recipient: NewRecipient, index: number, decidedAt: number | null): void {
    if (recipient.to.type !== 'queue') return;
    const now = Date.now();
    const dueAt = recipient.to.notBefore ?? now;
    const { address, original, rule, to, dsn = NO_RECIPIENT_DSN } = recipient;
    const state = this.restingState(message.id, address);
    this.#insertQueued.run(
      message.id,
      index,
      address,
      original,
      rule,
      state,
      to.destination,
      dueAt,
      decidedAt,
      notifyNumber(dsn.notify),
      dsn.orcpt,
    );
    if (state === QUEUED && dueAt <= now) this.#context.flags.queued = true;
  }

  /** Puts the message into an account's INBOX. `conflict` when the account is gone. */
  #deliver(message: MessageFacts, { to, address }: LocalRecipient): void {
    const { accountId, header } = to.delivery;
    const place = rowOf<{ id: number; uid: number; modseq: number }>(this.#nextUid, accountId);
    if (place === undefined) {
      throw new StorageError(
        'conflict',
        `the account that ${address} is delivered to does not exist any more`,
      );
    }
    const lines = header + message.header;
    const size = Buffer.byteLength(lines) + message.sizeBytes;
    const { id, bodyId, receivedAt, sender } = message;
    this.#insertEntry.run(place.id, place.uid, bodyId, size, place.modseq, receivedAt, id, sender, lines);
    this.#addUsed.run(size, accountId);
  }

  /** New or finished: what is searched is to be brought up to date. */
  #toSearch(messageId: number): void {
    this.#listToSearch.run(messageId);
    this.#context.flags.unsearchable = true;
  }

  /** Where a recipient waits from now on; being held because the whole queue is on hold is an event. */
  restingState(messageId: number, address: string): number {
    const holdAll = holdAllOf(rowOf<{ value: number; note: string | null }>(this.#holdAll));
    if (holdAll === null) return QUEUED;
    this.addEvents(messageId, [queueOnHold(address, holdAll)]);
    return HELD;
  }

  addEvents(messageId: number, events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    const now = Date.now();
    let n = rowOf<{ n: number | null }>(this.#lastEvent, messageId)?.n ?? 0;
    for (const { kind, recipient, detail } of events) {
      this.#insertEvent.run(messageId, ++n, now, kind, recipient, JSON.stringify(detail));
    }
  }

  /** Counts recipients that came (+) or are final (-); a message with none left keeps its row and loses its body. */
  changeOpenCount(messageId: number, by: number): void {
    if (by === 0) return;
    const left = rowOf<{ open_count: number; body_id: number }>(this.#closeSome, by, Date.now(), messageId);
    if (left?.open_count !== 0) return;
    this.#bodies.dropRef(left.body_id);
    this.#toSearch(messageId);
  }
}
