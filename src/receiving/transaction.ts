/** One mail transaction: its envelope while it grows, its body on the way to the store, its verdict. */

import type { TlsFacts } from '../listening/start-tls.ts';
import type { Address } from '../mail/address.ts';
import { forwarderOf } from '../mail/forward-rule.ts';
import { formatMessageId, type MessageId } from '../mail/message-id.ts';
import { type Reply, reply } from '../mail/reply.ts';
import { findSubject } from '../mail/subject.ts';
import type { Settings } from '../settings/values.ts';
import type { MailParameters } from '../smtp/receiver-contract.ts';
import {
  type BodyWriter,
  type MessageSource,
  type NewRecipient,
  type Storage,
  StorageError,
} from '../storage/contract.ts';
import type { Client } from './client.ts';
import { missingFields } from './complete-header.ts';
import type { Decision } from './decision.ts';
import { LOOP_RULE } from './redecide.ts';
import { HeaderScan, hopCount, type Trace } from './trace.ts';

/** What one session knows that its messages carry. */
export interface SessionFacts {
  readonly client: Client;
  readonly helo: string;
  readonly extended: boolean;
  readonly hostname: string;
  readonly tls: TlsFacts | null;
  /** Fields that are missing are added: the client signed in. */
  readonly completes: boolean;
}

interface Accepted {
  readonly recipients: readonly NewRecipient[];
  readonly assumedExternal: boolean;
}

const DISK_TROUBLE = reply(452, '4.3.1', 'The message cannot be stored now; please try again later');
const DATABASE_TROUBLE = reply(451, '4.3.0', 'The message cannot be stored now; please try again later');

function storeTrouble({ place }: StorageError): Reply {
  return place === 'disk' ? DISK_TROUBLE : DATABASE_TROUBLE;
}

/** The name of the protocol in trace (RFC 3848, RFC 6531 §4.3). */
function protocolName({ extended, tls, client }: SessionFacts, utf8: boolean): string {
  if (!extended && tls === null && client.user === null) return utf8 ? 'UTF8SMTP' : 'SMTP';
  const secured = tls === null ? '' : 'S';
  return `${utf8 ? 'UTF8SMTP' : 'ESMTP'}${secured}${client.user === null ? '' : 'A'}`;
}

/** The account, or the alias, catch-all or forward, that hands a recipient's mail on to another server. */
function outwardForwarder({ rule, to, address, original }: NewRecipient): string | null {
  if (to.type !== 'queue') return null;
  const elsewhere = address.toLowerCase() !== original.toLowerCase();
  return forwarderOf(rule) ?? (elsewhere ? original : null);
}

export class Transaction {
  readonly sender: Address | null;
  readonly parameters: MailParameters;
  readonly #storage: Storage;
  readonly #trace: Trace;
  readonly #scan = new HeaderScan();
  readonly #accepted: Accepted[] = [];
  #body: BodyWriter | null = null;

  constructor(storage: Storage, trace: Trace, sender: Address | null, parameters: MailParameters) {
    this.#storage = storage;
    this.#trace = trace;
    this.sender = sender;
    this.parameters = parameters;
  }

  /** RCPTs answered with yes so far. */
  get recipientsAccepted(): number {
    return this.#accepted.length;
  }

  add(decision: Decision): void {
    this.#accepted.push({ recipients: decision.recipients, assumedExternal: decision.assumedExternal });
  }

  openBody(): void {
    this.#body ??= this.#storage.openWriter();
  }

  /** Hands bytes on; false when the store takes none now (then await `storage.drained()`). */
  append(bytes: Uint8Array): boolean {
    if (this.#body === null) throw new Error('message bytes before the body was opened');
    if (!this.#body.append(bytes)) return false;
    this.#scan.push(bytes);
    return true;
  }

  abort(): void {
    this.#body?.abort();
    this.#body = null;
  }

  /** The verdict at the end of the data, and when it is yes the message on stable storage. */
  async finish(facts: SessionFacts, settings: Settings, eightBit: boolean): Promise<Reply> {
    const body = this.#body;
    if (body === null) throw new Error('the end of a message before its body was opened');
    this.#body = null;
    const header = this.#scan.text();
    const refusal = this.#refusal(header, settings);
    if (refusal !== null) {
      body.abort();
      return refusal;
    }
    return this.#accept(body, facts, header, eightBit);
  }

  #refusal(header: string, settings: Settings): Reply | null {
    const hops = hopCount(header);
    if (hops > settings.hopLimit) {
      return reply(
        554,
        '5.4.6',
        `Too many hops: ${hops} Received lines, at most ${settings.hopLimit} are taken (a mail loop?)`,
      );
    }
    if (this.#accepted.length > 0 && this.#accepted.every((one) => this.#onlyForwardedAgain(one, header))) {
      return reply(554, '5.4.6', 'The address that this message is for forwarded it already: a mail loop');
    }
    if (this.#accepted.every((one) => one.assumedExternal) && this.#trace.isOurs(header)) {
      return reply(554, '5.4.6', 'This message was sent out by this server and came back: a mail loop');
    }
    return null;
  }

  /** An address forwards a message to other servers once: what comes back from there would go round for ever. */
  #forwardedAgain(recipient: NewRecipient, header: string): boolean {
    const forwarder = outwardForwarder(recipient);
    return forwarder !== null && this.#trace.wasForwardedBy(forwarder, header);
  }

  #onlyForwardedAgain({ recipients }: Accepted, header: string): boolean {
    return recipients.length > 0 && recipients.every((one) => this.#forwardedAgain(one, header));
  }

  /** One field for each address here that forwards this message to other servers. */
  #forwardFields(recipients: readonly NewRecipient[]): string {
    const forwarders = new Set(recipients.flatMap((recipient) => outwardForwarder(recipient) ?? []));
    return [...forwarders].map((account) => this.#trace.forwardField(account)).join('');
  }

  /** Each mailbox and each outward address once; what came back in a loop is marked for its notice. */
  #recipients(header: string): NewRecipient[] {
    const looped = this.#accepted.some((one) => one.assumedExternal) && this.#trace.isOurs(header);
    const unique = new Map<string, NewRecipient>();
    for (const one of this.#accepted) {
      const again = this.#onlyForwardedAgain(one, header);
      for (const recipient of one.recipients) {
        const { to } = recipient;
        // Where the mailbox has it, the forward is left out; else its sender is told.
        if (!again && this.#forwardedAgain(recipient, header)) continue;
        const key = to.type === 'local' ? `account ${to.delivery.accountId}` : `address ${recipient.address}`;
        if (unique.has(key)) continue;
        unique.set(
          key,
          again || (looped && one.assumedExternal) ? { ...recipient, rule: LOOP_RULE } : recipient,
        );
      }
    }
    return [...unique.values()];
  }

  #missing({ completes, hostname, client }: SessionFacts, header: string, nowMs: number): string {
    if (!completes || this.#scan.truncated) return '';
    return missingFields({ header, hostname, from: this.sender?.text ?? client.user ?? '', nowMs });
  }

  async #accept(
    body: BodyWriter,
    facts: SessionFacts,
    messageHeader: string,
    eightBit: boolean,
  ): Promise<Reply> {
    const receivedAt = Date.now();
    const { client, helo, hostname } = facts;
    const protocol = protocolName(facts, this.parameters.smtputf8);
    const tls = facts.tls === null ? null : `${facts.tls.version} ${facts.tls.cipher}`;
    const address = client.address ?? '';
    const recipients = this.#recipients(messageHeader);
    const source: MessageSource = {
      kind: client.kind,
      address: client.address,
      helo,
      user: client.user,
      protocol: tls === null ? protocol : `${protocol} (${tls})`,
    };
    let id: MessageId;
    try {
      id = this.#storage.nextMessageId();
    } catch (error) {
      body.abort();
      if (error instanceof StorageError) return storeTrouble(error);
      throw error;
    }
    try {
      await this.#storage.accept({
        id,
        body,
        subject: findSubject(messageHeader),
        sender: this.sender?.text ?? '',
        source,
        smtputf8: this.parameters.smtputf8,
        eightBit,
        header:
          this.#trace.receivedField({ id, hostname, helo, address, protocol, tls, receivedAt }) +
          this.#forwardFields(recipients) +
          this.#missing(facts, messageHeader, receivedAt),
        receivedAt,
        recipients,
      });
    } catch (error) {
      if (error instanceof StorageError && error.kind === 'conflict') {
        return reply(451, '4.3.0', 'A mailbox changed while the message came; please try again');
      }
      if (error instanceof StorageError) return storeTrouble(error);
      throw error;
    }
    return reply(250, '2.0.0', `Ok: queued as ${formatMessageId(id)}`);
  }
}
