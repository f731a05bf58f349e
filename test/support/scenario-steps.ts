/** Runs the steps of a scenario, one after the other; each throws when it is not as expected. */
import assert from 'node:assert/strict';
import { poll } from './cmail.ts';
import { type ExpectedContents, replaced, type ScenarioSend, type ScenarioStep } from './scenario-format.ts';
import type { Stage } from './scenario-world.ts';
import { type ClientReply, greeted, letter, type Sent } from './smtp-client.ts';
import type { PeerMessage, SmtpPeer } from './smtp-peer.ts';

interface ShownRecipient {
  readonly address: string;
  readonly state: string;
  readonly via: string | null;
  readonly attempts: number;
  readonly nextAttemptAt: string | number | null;
  readonly lastReply: string | null;
}

interface ShownMessage {
  readonly recipients: readonly ShownRecipient[];
  readonly events: readonly { readonly kind: string; readonly recipient: string | null }[];
}

interface Explanation {
  readonly decision: string;
  readonly reply: { readonly code: number; readonly enhanced?: string };
  readonly route: null | {
    readonly via: string;
    readonly fallback: string | null;
    readonly failure: null | { readonly kind: string };
  };
}

const PLACES: Readonly<Record<string, string>> = { local: '127.0.0.1', external: '127.0.0.2' };

export class StepRunner {
  readonly #stage: Stage;
  readonly #name: string;
  /** What was sent so far. */
  readonly #sent: string[] = [];
  /** Queue ID of the last message. */
  #id: string | undefined;
  /** Replies to mail handed back that steps have asked for. */
  #replies = 0;
  /** Mail already matched by a step, and for what: a message counts once, a notice once for each recipient. */
  readonly #used = new Map<object, string[]>();

  constructor(stage: Stage, name: string) {
    this.#stage = stage;
    this.#name = name;
  }

  async run(step: ScenarioStep): Promise<void> {
    const { server, dns } = this.#stage;
    const asked = dns.queries.length;
    if (step.set) await server.set(step.set);
    for (const [name, records] of Object.entries(step.dns ?? {})) dns.set(name, ...records);
    for (const [name, peer] of Object.entries(step.peers ?? {})) {
      this.#peer(name).script(this.#stage.script(peer));
    }
    if (step.cli) await server.run(step.cli.map((word) => replaced(word, { id: this.#id ?? '' })));
    if (step.send) await this.#send(step.send, step);
    for (const expected of step.arrives ?? []) await this.#arrives(expected);
    for (const expected of step.mailbox ?? []) await this.#comesTo(expected);
    for (const expected of step.notice ?? []) await this.#notice(expected);
    if (step.state) await this.#state(step.state);
    if (step.event) await this.#events(step.event);
    if (step.explain) await this.#explain(step.explain);
    for (const name of step.untouched ?? []) {
      assert.deepEqual(
        this.#peer(name).sessions.map((session) => session.commands),
        [],
        `sessions at ${name}`,
      );
    }
    for (const address of step.empty ?? []) await this.#empty(address);
    if (step.handedBack) await this.#handedBack(step.handedBack);
    if (step.status) {
      const wanted = new RegExp(step.status, 'i');
      const told = () => server.run(['status', '--json']);
      await poll(`status to say ${step.status}`, async () => wanted.test(await told()));
    }
    if (step.asked) this.#asked(step.asked, asked);
  }

  #peer(name: string): SmtpPeer {
    const peer = this.#stage.peers.get(name);
    assert.ok(peer, `there is a peer ${name}`);
    return peer;
  }

  async #send(send: ScenarioSend, expected: ScenarioStep): Promise<void> {
    const subject = send.subject ?? `${this.#name} ${this.#sent.length + 1}`;
    const body = send.body?.replace(/\r?\n/g, '\r\n');
    const plain = letter({ from: send.from, to: send.to[0] ?? '', subject, body });
    const data = send.header.map((line) => `${line}\r\n`).join('') + plain;
    const foretold = expected.explained ? await this.#foretell(send) : [];
    const client = await greeted({
      ...this.#stage.server.listeners.smtp,
      localAddress: PLACES[send.client] ?? send.client,
    });
    try {
      const sent = await client.sendMessage({
        from: send.from,
        to: send.to,
        data,
        mailParameters: send.parameters,
        recipientParameters: send.asks,
      });
      this.#sent.push(data);
      this.#id = sent.id;
      checkReplies(sent, expected);
      for (const [at, reply] of sent.rcpt.entries()) {
        const told = foretold[at] ?? `${reply.code} ${reply.enhanced}`;
        assert.equal(`${reply.code} ${reply.enhanced}`, told, `explain of ${send.to[at]} said so`);
      }
      await client.quit();
    } finally {
      client.destroy();
    }
  }

  /** The reply `explain` gives for each recipient, as `550 5.1.1`. */
  async #foretell(send: ScenarioSend): Promise<string[]> {
    const { server } = this.#stage;
    const who = ['--from', send.from, '--client', PLACES[send.client] ?? send.client];
    const told: string[] = [];
    for (const address of send.to) {
      const { reply } = await server.json<Explanation>(['explain', address, ...who]);
      told.push(`${reply.code} ${reply.enhanced}`);
    }
    return told;
  }

  async #arrives(expected: NonNullable<ScenarioStep['arrives']>[number]): Promise<void> {
    const peer = this.#peer(expected.peer);
    const fits = (message: PeerMessage): boolean =>
      !this.#used.has(message) &&
      (expected.to ?? message.to).every((address) => message.to.includes(address)) &&
      (expected.from === undefined || isLike(message.from, expected.from)) &&
      (expected.tls === undefined || expected.tls === message.session.tls) &&
      (expected.user === undefined || expected.user === message.session.user) &&
      (expected.client === undefined || expected.client === message.session.remoteAddress) &&
      expected.commands.every((line) =>
        message.session.commands.some((command) => new RegExp(`^(?:${line})$`).test(command)),
      ) &&
      holds(message.data, { header: expected.header, body: expected.body }) &&
      this.#isWhole(message.data);
    const found = await poll(
      `mail at ${expected.peer} like ${JSON.stringify(expected)}`,
      async () => peer.messages.find(fits),
      undefined,
      () =>
        describeMail(peer.messages.map((message) => `<${message.from}> → ${message.to}\n${message.data}`)),
    );
    this.#use(found, 'mail');
  }

  #use(message: object, purpose: string): void {
    this.#used.set(message, [...(this.#used.get(message) ?? []), purpose]);
  }

  #isUsed(message: object, purpose: string): boolean {
    return this.#used.get(message)?.includes(purpose) ?? false;
  }

  /** Lines may stand in front, nothing else may differ. */
  #isWhole(data: Buffer): boolean {
    const text = data.toString('utf8');
    return this.#sent.some((sent) => text.endsWith(sent));
  }

  async #comesTo(expected: NonNullable<ScenarioStep['mailbox']>[number]): Promise<void> {
    const { of: address, ...contents } = expected;
    await this.#inMailbox(
      address,
      `mail like ${JSON.stringify(contents)}`,
      'mail',
      (data) => holds(data, contents) && this.#isWhole(data),
    );
  }

  async #notice(expected: NonNullable<ScenarioStep['notice']>[number]): Promise<void> {
    const what = `a notice for ${expected.recipient}, ${expected.status}`;
    const purpose = `notice for ${expected.recipient}`;
    const fits = (data: Buffer): boolean => isNotice(data, expected);
    const peerName = /^peer:(.+)$/.exec(expected.at)?.[1];
    if (peerName === undefined) {
      await this.#inMailbox(
        expected.at,
        what,
        purpose,
        (data) => fits(data) && /^Return-Path: *<>/im.test(head(data)),
      );
      return;
    }
    const { messages } = this.#peer(peerName);
    const found = await poll(
      `${what} at ${peerName}`,
      async () =>
        messages.find(
          (message) => message.from === '' && fits(message.data) && !this.#isUsed(message, purpose),
        ),
      undefined,
      () => describeMail(messages.map((message) => String(message.data))),
    );
    this.#use(found, purpose);
  }

  async #inMailbox(
    address: string,
    what: string,
    purpose: string,
    fits: (data: Buffer) => boolean,
  ): Promise<void> {
    let messages: Buffer[] = [];
    const found = await poll(
      `${what} in the mailbox ${address}`,
      async () => {
        messages = await this.#stage.mailbox(address);
        return messages.find((message) => !this.#isUsed(message, purpose) && fits(message));
      },
      undefined,
      () => describeMail(messages.map(String)),
    );
    this.#use(found, purpose);
  }

  async #empty(address: string): Promise<void> {
    const more = (await this.#stage.mailbox(address)).filter((message) => !this.#used.has(message));
    assert.deepEqual(more.map(String), [], `mail in ${address} that no step expects`);
  }

  #shown(): Promise<ShownMessage> {
    assert.ok(this.#id, 'a message was accepted');
    return this.#stage.server.json<ShownMessage>(['message', this.#id]);
  }

  async #state(expected: NonNullable<ScenarioStep['state']>): Promise<void> {
    let shown: ShownMessage | undefined;
    await poll(
      `${this.#id} to be ${JSON.stringify(expected)}`,
      async () => {
        shown = await this.#shown();
        const { recipients } = shown;
        return expected.every((wanted) => recipients.some((recipient) => isAs(recipient, wanted)));
      },
      15_000,
      () => `it is ${JSON.stringify(shown, null, 1)}`,
    );
  }

  async #events(expected: NonNullable<ScenarioStep['event']>): Promise<void> {
    let events: ShownMessage['events'] = [];
    // What a peer has got is recorded a moment later.
    const missing = () =>
      expected.find(
        ({ kind, recipient, has }) =>
          !events.some(
            (event) =>
              event.kind === kind &&
              (recipient === undefined || event.recipient === recipient) &&
              (has === undefined || new RegExp(has, 'i').test(JSON.stringify(event))),
          ),
      );
    await poll(
      `the events ${JSON.stringify(expected)}`,
      async () => {
        ({ events } = await this.#shown());
        return missing() === undefined;
      },
      undefined,
      () => `missing ${JSON.stringify(missing())} in ${JSON.stringify(events, null, 1)}`,
    );
  }

  async #handedBack(expected: NonNullable<ScenarioStep['handedBack']>): Promise<void> {
    const { handedBack } = this.#peer(expected.peer);
    this.#replies += 1;
    await poll(
      `a reply ${expected.reply} to what ${expected.peer} handed back`,
      async () => handedBack.filter((reply) => reply.startsWith(expected.reply)).length >= this.#replies,
      undefined,
      () => `the replies were ${JSON.stringify(handedBack)}`,
    );
  }

  async #explain(expected: NonNullable<ScenarioStep['explain']>): Promise<void> {
    const words = ['explain', expected.address, '--client', PLACES[expected.client] ?? expected.client];
    if (expected.from !== undefined) words.push('--from', expected.from);
    for (const [key, value] of Object.entries(expected.with)) words.push('--with', `${key}=${value}`);
    const told = await this.#stage.server.json<Explanation>(words);
    const got: Record<string, unknown> = {
      decision: told.decision,
      reply: `${told.reply.code} ${told.reply.enhanced ?? ''}`.trim(),
      via: told.route?.via,
      fallback: told.route?.fallback ?? undefined,
      failure: told.route?.failure?.kind,
    };
    for (const key of ['decision', 'reply', 'via', 'fallback', 'failure'] as const) {
      if (expected[key] !== undefined)
        assert.equal(got[key], expected[key], `${key} in ${JSON.stringify(told)}`);
    }
  }

  #asked({ name, type, atLeast }: NonNullable<ScenarioStep['asked']>, before: number): void {
    const asked = this.#stage.dns.queries
      .slice(before)
      .filter((query) => query.name === name && query.type === type);
    assert.ok(asked.length >= atLeast, `${type} of ${name} was asked ${asked.length} times`);
  }
}

function checkReplies(sent: Sent, expected: ScenarioStep): void {
  const show = (reply: ClientReply | undefined) => (reply ? `${reply.code} ${reply.text}` : 'no reply');
  const is = (reply: ClientReply | undefined, wanted: string, where: string) =>
    assert.ok(show(reply).startsWith(`${wanted} `), `${where}: expected ${wanted}, got ${show(reply)}`);
  is(sent.mail, expected.mail ?? '250', 'MAIL');
  if (sent.mail.code === 250) {
    const wanted = expected.rcpt ?? ['250'];
    sent.rcpt.forEach((reply, at) => {
      is(reply, wanted[at] ?? wanted.at(-1) ?? '250', `RCPT ${at + 1}`);
    });
  }
  if (sent.data !== undefined) is(sent.end, expected.end ?? '250 2.0.0', 'final dot');
  else if (expected.end !== undefined) is(sent.end, expected.end, 'final dot');
  if (expected.says === undefined) return;
  const all = [sent.mail, ...sent.rcpt, sent.data, sent.end].filter((reply) => reply !== undefined);
  const last = all.findLast((reply) => reply.code >= 400) ?? all.at(-1);
  assert.match(last?.text ?? '', new RegExp(expected.says, 'i'));
}

function isAs(recipient: ShownRecipient, wanted: NonNullable<ScenarioStep['state']>[number]): boolean {
  const { nextAttemptAt } = recipient;
  const waitMs = nextAttemptAt === null ? 0 : new Date(nextAttemptAt).getTime() - Date.now();
  return (
    recipient.address === wanted.recipient &&
    new RegExp(`^(${wanted.state})$`).test(recipient.state) &&
    (wanted.via === undefined || recipient.via === wanted.via) &&
    (wanted.attempts === undefined || recipient.attempts === wanted.attempts) &&
    (wanted.reply === undefined || new RegExp(wanted.reply, 'i').test(recipient.lastReply ?? '')) &&
    (wanted.withinSeconds === undefined || (nextAttemptAt !== null && waitMs <= wanted.withinSeconds * 1000))
  );
}

/** A notice (RFC 3464, RFC 6533) that reports `recipient` with `action` and `status`. */
function isNotice(data: Buffer, wanted: NonNullable<ScenarioStep['notice']>[number]): boolean {
  const text = data.toString('utf8');
  if (!/^Content-Type: multipart\/report;/im.test(head(data))) return false;
  if (!/^Content-Type: message\/(?:global-)?delivery-status/im.test(text)) return false;
  const report = text
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n\r\n')
    .find((block) => reportedAddress(block) === wanted.recipient);
  return (
    report !== undefined &&
    field(report, 'Action') === wanted.action &&
    field(report, 'Status') === wanted.status &&
    (wanted.says === undefined || new RegExp(wanted.says, 'is').test(text.replace(/\r\n[ \t]+/g, ' '))) &&
    (wanted.lacks === undefined || !new RegExp(wanted.lacks, 'im').test(text))
  );
}

function field(block: string, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*)$`, 'im').exec(block)?.[1]?.trim();
}

/** The address of a Final-Recipient field, of type rfc822 or utf-8 (RFC 6533 §3, `\\x{FC}` for ü). */
function reportedAddress(block: string): string | undefined {
  const value = /^(?:rfc822|utf-8);\s*(.*)$/i.exec(field(block, 'Final-Recipient') ?? '')?.[1];
  return value?.replace(/\\x\{([0-9A-F]+)\}/gi, (_, hex: string) =>
    String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}

function holds(data: Buffer, expected: ExpectedContents): boolean {
  const text = data.toString('utf8');
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  const header = head(data).replace(/\r\n[ \t]+/g, ' ');
  return (
    (expected.from === undefined ||
      new RegExp(`^Return-Path: *<${escaped(expected.from)}>`, 'im').test(header)) &&
    expected.header.every((line) => new RegExp(`^${line}\\r?$`, 'im').test(header)) &&
    (expected.body === undefined || new RegExp(expected.body).test(body))
  );
}

function head(data: Buffer): string {
  const text = data.toString('utf8');
  return text.slice(0, text.indexOf('\r\n\r\n') + 2);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function describeMail(messages: readonly string[]): string {
  return `there are ${messages.length} messages:\n${messages.join('\n--------\n').slice(0, 6000)}\n`;
}

/** `*` in the pattern stands for any characters, such as the keyed part of a rewritten sender. */
function isLike(text: string, pattern: string): boolean {
  return new RegExp(`^${pattern.split('*').map(escaped).join('.*')}$`).test(text);
}
