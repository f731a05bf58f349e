/** Postfix as a far side with limits: connections, recipients, size, and few extensions. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { type Listener, requirePostfix, startPostfix } from '../support/postfix.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const FROM = 'boss@our.example';

/** By the name of its domain. */
const LIMITS: Readonly<Record<string, Listener>> = {
  'connections.test': {
    address: '127.0.64.1',
    // Without the second, Postfix exempts its own networks.
    settings: { smtpd_client_connection_count_limit: '2', smtpd_client_event_limit_exceptions: '' },
  },
  'recipients.test': { address: '127.0.64.2', settings: { smtpd_recipient_limit: '5' } },
  'size.test': { address: '127.0.64.3', settings: { message_size_limit: '2000' } },
  'few.test': {
    address: '127.0.64.4',
    settings: {
      smtpd_discard_ehlo_keywords: 'pipelining, size, 8bitmime, dsn, smtputf8, enhancedstatuscodes, chunking',
    },
  },
};

async function start(t: TestContext) {
  const listeners = Object.values(LIMITS);
  const postfix = await startPostfix(t, { address: '127.0.64.100', listeners });
  const zones = Object.entries(LIMITS).flatMap(([domain, { address }]) => [
    [domain, [`MX 10 mx.${domain}`]] as const,
    [`mx.${domain}`, [`A ${address}`]] as const,
  ]);
  const dns = await startDnsServer(Object.fromEntries(zones));
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['our.example'],
    accounts: [{ address: FROM }],
    settings: { 'smtp.outboundPort': String(postfix.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  return { postfix, cmail };
}

interface Story {
  readonly recipients: readonly {
    readonly state: string;
    readonly attempts: number;
    readonly lastReply: string;
  }[];
}

/** Submits a message for each list of recipients over one connection; their IDs. */
async function submit(
  cmail: Cmail,
  lists: readonly (readonly string[])[],
  body = 'short',
): Promise<string[]> {
  const client = await greeted(cmail.listeners.smtp);
  const ids: string[] = [];
  for (const to of lists) {
    const data = letter({ from: FROM, to: to[0] ?? '', subject: to[0] ?? '', body });
    const sent = await client.sendMessage({ from: FROM, to, data, mailParameters: 'BODY=8BITMIME' });
    assert.ok(sent.id, sent.end?.text);
    ids.push(sent.id);
  }
  await client.quit();
  return ids;
}

/** When every recipient is done. */
async function done(cmail: Cmail, ids: readonly string[]): Promise<Story['recipients']> {
  const all: Story['recipients'][number][] = [];
  for (const id of ids) {
    const { recipients } = await cmail.waitFor(
      `the end of ${id}`,
      async () => {
        const story = await cmail.json<Story>(['message', id]);
        return story.recipients.every(({ state }) => state === 'delivered' || state === 'failed') && story;
      },
      60_000,
    );
    all.push(...recipients);
  }
  return all;
}

const outcomes = (recipients: Story['recipients']) => [
  ...new Set(recipients.map(({ state, attempts }) => `${state} ${attempts}`)),
];

test('Postfix with limits', { timeout: 180_000 }, async (t) => {
  if (!requirePostfix(t)) return;
  const { postfix, cmail } = await start(t);
  const arrived = async (domain: string) => {
    await postfix.waitForEmptyQueue();
    const to = new RegExp(`^X-Original-To: .*@${domain}$`, 'm');
    return (await postfix.messages()).filter((text) => to.test(text)).length;
  };
  const logged = async (what: RegExp) => [...(await postfix.logText()).matchAll(what)];

  await t.test('two connections at once: it gets two, and nothing is put off', async () => {
    // Held, so that all is there when the first connection is made.
    await cmail.set({ 'smtp.destinationRules': 'connections.test hold' });
    const ids = await submit(
      cmail,
      Array.from({ length: 60 }, (_, n) => [`x${n}@connections.test`]),
    );
    await cmail.set({ 'smtp.destinationRules': '' });
    assert.deepEqual(outcomes(await done(cmail, ids)), ['delivered 1']);
    assert.equal(await arrived('connections.test'), 60);
    const refused = await logged(/Connection concurrency limit exceeded: \d+ from/g);
    // It is tried with five at first, and then with as many as it took.
    assert.ok(refused.length >= 1 && refused.length <= 6, `${refused.length} connections were refused`);
  });

  await t.test('five recipients in a transaction: the others follow at once in further ones', async () => {
    const [id = ''] = await submit(cmail, [Array.from({ length: 12 }, (_, n) => `x${n}@recipients.test`)]);
    assert.deepEqual(outcomes(await done(cmail, [id])), ['delivered 1']);
    assert.equal(await arrived('recipients.test'), 12);
    const counts = (await logged(/nrcpt=(\d+) /g)).slice(-3).map(([, count]) => count);
    assert.deepEqual(counts, ['5', '5', '2']);
  });

  await t.test('a smaller SIZE: not even MAIL, and it fails at once', async () => {
    const before = await logged(/NOQUEUE|: client=/g);
    const [recipient] = await done(cmail, await submit(cmail, [['x@size.test']], 'long '.repeat(1000)));
    assert.equal(recipient?.state, 'failed');
    assert.match(
      recipient.lastReply,
      /^552 5\.3\.4 The message has \d+ bytes and the server takes at most 2000$/,
    );
    assert.equal((await logged(/NOQUEUE|: client=/g)).length, before.length);
    const [other] = await done(cmail, await submit(cmail, [['y@size.test']]));
    assert.equal(other?.state, 'delivered');
  });

  await t.test('hardly any extension: what needs none goes, and 8-bit content does not', async () => {
    assert.deepEqual(outcomes(await done(cmail, await submit(cmail, [['x@few.test']]))), ['delivered 1']);
    const [recipient] = await done(cmail, await submit(cmail, [['y@few.test']], 'Grüße'));
    assert.equal(recipient?.state, 'failed');
    assert.match(recipient.lastReply, /^554 5\.6\.3 The message has 8-bit content/);
    assert.equal(await arrived('few.test'), 1);
  });
});
