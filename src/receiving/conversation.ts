/**
 * What one SMTP session knows of its client and is in the middle of: the answers to the questions of the protocol
 * engine. No socket: the connection feeds it actions and takes replies.
 */
import type { SignIn } from '../directory/sign-in.ts';
import type { Arrival } from '../listening/arrival.ts';
import { isLoopback } from '../listening/network.ts';
import type { TlsFacts } from '../listening/start-tls.ts';
import type { TlsProvider } from '../listening/tls-provider.ts';
import { type Reply, reply, replyText } from '../mail/reply.ts';
import type { MakeNotices } from '../notices/contract.ts';
import type { CurrentSettings, Settings } from '../settings/values.ts';
import type { ReceiverAction, ReceiverPolicy } from '../smtp/receiver-contract.ts';
import type { Fruitless } from '../smtp/receiver-tally.ts';
import type { Storage } from '../storage/contract.ts';
import { type Client, clientAt, isOnRelayNetworks } from './client.ts';
import { type DecisionDependencies, decide } from './decision.ts';
import type { StrangerLimits } from './stranger-limits.ts';
import type { Submission, Submitter } from './submission.ts';
import type { Trace } from './trace.ts';
import { Transaction } from './transaction.ts';

export interface ReceivingDependencies {
  readonly hostname: string;
  readonly settings: CurrentSettings;
  readonly storage: Storage;
  /** For how long the store has answered nobody, ms; 0 when it does. */
  readonly storeAwayMs: () => number;
  readonly trace: Trace;
  readonly makeNotices: MakeNotices;
  readonly decision: DecisionDependencies;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** The certificates; null offers no TLS. */
  readonly tls: TlsProvider | null;
  /** Checks passwords; null offers no sign-in. */
  readonly signIn: SignIn | null;
  readonly submission: Submission;
  /** Counts each command, recipient and message refused. */
  readonly refused?: () => void;
}

/** Which service a listener offers: mail from anybody, or submission by those who sign in (RFC 6409). */
export type Service = 'smtp' | 'submission';

export const FAULT = reply(451, '4.3.0', 'Something went wrong here; please try again later');
const SIGNED_IN = reply(235, '2.7.0', 'Signed in');

export class Conversation {
  readonly #deps: ReceivingDependencies;
  readonly #service: Service;
  readonly #address: string;
  readonly #strangers: StrangerLimits | null;
  #tls: TlsFacts | null;
  #submitter: Submitter | null = null;
  #helo = '';
  #extended = false;
  #transaction: Transaction | null = null;
  #policySettings: Settings | null = null;
  #policy: ReceiverPolicy | null = null;

  /** `strangers` null: what the client does in vain is not counted. */
  constructor(
    deps: ReceivingDependencies,
    service: Service,
    { address, tls }: Pick<Arrival, 'address' | 'tls'>,
    strangers: StrangerLimits | null,
  ) {
    this.#deps = deps;
    this.#service = service;
    this.#address = address;
    this.#tls = tls;
    this.#strangers = strangers;
  }

  get transaction(): Transaction | null {
    return this.#transaction;
  }

  /** What the session announces and enforces now. */
  policy(): ReceiverPolicy {
    const settings = this.#deps.settings();
    if (this.#policy === null || this.#policySettings !== settings) {
      this.#policySettings = settings;
      this.#policy = this.#makePolicy(settings);
    }
    return this.#policy;
  }

  #makePolicy(settings: Settings): ReceiverPolicy {
    const { hostname, tls, signIn } = this.#deps;
    const { strangers } = settings;
    return {
      hostname,
      maxMessageBytes: settings.maxIncomingSizeBytes,
      bareNewline: isOnRelayNetworks(this.#address, settings) ? settings.bareNewline : 'refuse',
      maxRecipients: strangers.recipientsPerMessage,
      maxErrors: strangers.errors,
      maxIdleCommands: strangers.idleCommands,
      maxSessionRecipients: strangers.recipientsPerSession,
      maxMessages: strangers.messagesPerSession,
      startTls: tls !== null,
      auth: signIn === null ? 'never' : isLoopback(this.#address) ? 'always' : 'under-tls',
      signInRequired: this.#service === 'submission',
      requireTls: tls !== null,
    };
  }

  /** TLS began: all that was known was told in clear and is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts): void {
    this.#tls = tls;
    this.#submitter = null;
    this.#helo = '';
    this.#extended = false;
    this.forget();
  }

  greeted(name: string, extended: boolean): void {
    this.#helo = name;
    this.#extended = extended;
  }

  client(): Client {
    return clientAt(this.#address, this.#submitter?.address ?? null, this.#deps.settings());
  }

  async signIn({ user, password }: Extract<ReceiverAction, { type: 'auth' }>): Promise<Reply> {
    const { signIn } = this.#deps;
    if (signIn === null) return FAULT;
    const from = { address: this.#address, tls: this.#tls?.version ?? null };
    const answer = await signIn.check({ user, password, service: this.#service, scope: 'send', ...from });
    if (answer.ok) {
      this.#submitter = { accountId: answer.accountId, address: answer.address };
      return SIGNED_IN;
    }
    return answer.kind === 'refused' ? reply(535, '5.7.8', answer.text) : reply(454, '4.7.0', answer.text);
  }

  /** MAIL: whether this client may send as `sender`, and as much as it does. */
  mail(action: Extract<ReceiverAction, { type: 'mail' }>): Promise<Reply> | Reply {
    const submitter = this.#submitter;
    if (submitter === null) return this.#begin(action);
    return this.#deps.submission.refuseSender(submitter, action.sender).then((refusal) => {
      if (refusal === null) return this.#begin(action);
      this.logRefusal('sender refused', refusal, { sender: action.sender?.text ?? '' });
      return refusal;
    });
  }

  #begin({ sender, parameters }: Extract<ReceiverAction, { type: 'mail' }>): Reply {
    this.#transaction = new Transaction(this.#deps, sender, parameters);
    return reply(250, '2.1.0', `<${sender?.text ?? ''}> sender ok`);
  }

  async recipient({ recipient, dsn }: Extract<ReceiverAction, { type: 'rcpt' }>): Promise<Reply> {
    const transaction = this.#transaction;
    if (this.#submitter !== null && transaction !== null) {
      const refusal = this.#deps.submission.refuseRecipient(this.#submitter, transaction.recipientsAccepted);
      if (refusal !== null) {
        this.logRefusal('recipient refused', refusal, { recipient: recipient.text });
        return refusal;
      }
    }
    const decision = await decide(this.#deps.decision, {
      recipient,
      client: this.client(),
      sender: transaction?.sender ?? null,
      declaredSizeBytes: transaction?.parameters.sizeBytes ?? 0,
      settings: this.#deps.settings(),
      purpose: 'rcpt',
    });
    if (decision.reply.code < 400) transaction?.add(recipient.text, dsn, decision);
    else
      this.logRefusal('recipient refused', decision.reply, {
        recipient: recipient.text,
        rule: decision.rule,
      });
    return decision.reply;
  }

  /** The end of the data; a promise unless the answer is known. */
  finish(action: Extract<ReceiverAction, { type: 'end' }>): Promise<Reply> | Reply {
    const transaction = this.#transaction;
    this.#transaction = null;
    if (action.failure !== null || transaction === null) {
      transaction?.abort();
      const answer = action.failure ?? FAULT;
      this.logRefusal('message refused', answer, {}, transaction);
      return answer;
    }
    return this.#accept(transaction, action.eightBit);
  }

  async #accept(transaction: Transaction, eightBit: boolean): Promise<Reply> {
    const { hostname, settings, submission } = this.#deps;
    const submitter = this.#submitter;
    const facts = {
      client: this.client(),
      helo: this.#helo,
      extended: this.#extended,
      hostname,
      tls: this.#tls,
      completes: submitter !== null,
    };
    const answer = await transaction.finish(facts, settings(), eightBit);
    if (answer.code >= 400) {
      this.logRefusal('message refused', answer, {}, transaction);
      return answer;
    }
    this.#strangers?.accepted(this.#address);
    if (submitter !== null) submission.count(submitter);
    return answer;
  }

  /** What is refused leaves no message behind to ask about: the log says who asked what, and which rule refused. */
  logRefusal(
    words: string,
    answer: Reply,
    about: Readonly<Record<string, string>>,
    transaction = this.#transaction,
  ): void {
    this.#deps.refused?.();
    const { address, kind, user } = this.client();
    const sender = transaction?.sender?.text ?? '';
    const who = { client: address, kind, ...(user === null ? {} : { user }) };
    this.#deps.log('info', words, { ...who, sender, ...about, reply: replyText(answer) });
  }

  /** Counts what a stranger did without moving mail. */
  count(fruitless: Fruitless): void {
    if (this.client().kind === 'external') this.#strangers?.count(this.#address, fruitless);
  }

  /** A stranger over its limit: 421, to be said before the connection is closed; null for everybody else. */
  refuseStranger(): Reply | null {
    const text = this.client().kind === 'external' ? this.#strangers?.refusal(this.#address) : null;
    return text ? reply(421, '4.7.0', `${this.#deps.hostname} ${text}`) : null;
  }

  /** Ends the transaction, if there is one. */
  forget(): void {
    // Whoever only asks which addresses there are goes without a message.
    this.count({ errors: 0, idleCommands: this.#transaction?.recipientsInVain ?? 0 });
    this.#transaction?.abort();
    this.#transaction = null;
  }
}
