/** Each level of TLS that Postfix asks for, met with each that a rule asks for; and Postfix as the SMTP host. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeAuthority } from '../support/certificates.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { type Listener, type Postfix, requirePostfix, startPostfix } from '../support/postfix.ts';
import { requireTool } from '../support/require.ts';
import { greeted, letter } from '../support/smtp-client.ts';

const LEVELS = ['none', 'opportunistic', 'encrypt', 'verify'] as const;
type Level = (typeof LEVELS)[number];

/** TLS 1.0 and 1.1 alone, which OpenSSL 3 gives only at its lowest level of security. */
const OLD = {
  smtpd_tls_protocols: '<=TLSv1.1',
  smtpd_tls_mandatory_protocols: '<=TLSv1.1',
  tls_medium_cipherlist: 'ALL:@SECLEVEL=0',
};

/** What comes of it, for the story and for Postfix: over TLS, in clear, or waiting. */
interface Outcome {
  readonly state: 'delivered' | 'queued' | 'failed';
  /** Of the delivery, or of the last reply. */
  readonly says: RegExp;
  /** Somewhere in the story. */
  readonly also?: RegExp;
}

const CLEAR: Outcome = { state: 'delivered', says: /^without TLS$/ };
const VERIFIED: Outcome = { state: 'delivered', says: /^TLSv1\.3 verified$/ };
const BY_RULE: Outcome = { state: 'delivered', says: /^TLSv1\.3, verified by the rule for the destination$/ };
const UNVERIFIED: Outcome = { state: 'delivered', says: /^TLSv1\.3 unverified$/ };
const NOT_OFFERED: Outcome = { state: 'queued', says: /TLS is required and the server does not offer it/ };
const HANDSHAKE: Outcome = { state: 'queued', says: /TLS handshake failed: tlsv1 alert protocol version$/ };
/** A rule that forbids TLS towards a server that demands it: nothing would change with time. */
const NO_CLEAR: Outcome = { state: 'failed', says: /530 5\.7\.0 Must issue a STARTTLS/ };
/** No TLS came about, and in clear it takes nothing: about the connection, not about the message. */
const PUT_OFF: Outcome = {
  state: 'queued',
  says: /530 5\.7\.0 Must issue a STARTTLS/,
  also: /TLS failed, and the server takes no mail in clear.*called once more, in clear/,
};
const CALLED_AGAIN = /called once more, in clear/;
const untrusted = (why: RegExp): Outcome => ({
  state: 'queued',
  says: new RegExp(`not trusted for this name, as the rule for the destination demands: .*${why.source}`),
});

/** Far side by level; the columns are LEVELS. */
const EXPECTED: Readonly<Record<string, readonly [Outcome, Outcome, Outcome, Outcome]>> = {
  none: [CLEAR, CLEAR, NOT_OFFERED, NOT_OFFERED],
  may: [CLEAR, VERIFIED, VERIFIED, BY_RULE],
  encrypt: [NO_CLEAR, VERIFIED, VERIFIED, BY_RULE],
  name: [CLEAR, UNVERIFIED, UNVERIFIED, untrusted(/ERR_TLS_CERT_ALTNAME_INVALID/)],
  expired: [CLEAR, UNVERIFIED, UNVERIFIED, untrusted(/CERT_HAS_EXPIRED/)],
  unknown: [CLEAR, UNVERIFIED, UNVERIFIED, untrusted(/UNABLE_TO_VERIFY_LEAF_SIGNATURE/)],
  'old-encrypt': [NO_CLEAR, PUT_OFF, HANDSHAKE, HANDSHAKE],
  old: [CLEAR, { ...CLEAR, also: CALLED_AGAIN }, HANDSHAKE, HANDSHAKE],
};

const domainOf = (far: string, level: Level) => `${far}.${level}.test`;

async function farSide(t: TestContext) {
  const authority = await makeAuthority(t);
  const names = (far: string) => LEVELS.map((level) => `mx.${domainOf(far, level)}`);
  const stranger = await makeAuthority(t);
  const right = async (far: string) => ({ tls: await authority.issue(names(far)) });
  const kinds: Readonly<Record<string, Omit<Listener, 'address'>>> = {
    none: {},
    may: await right('may'),
    encrypt: { ...(await right('encrypt')), settings: { smtpd_tls_security_level: 'encrypt' } },
    name: { tls: await authority.issue(['mx.elsewhere.test']) },
    expired: { tls: await authority.issue(names('expired'), { expired: true }) },
    unknown: { tls: await stranger.issue(names('unknown')) },
    old: { ...(await right('old')), settings: OLD },
    'old-encrypt': {
      ...(await right('old-encrypt')),
      settings: { ...OLD, smtpd_tls_security_level: 'encrypt' },
    },
    // The SMTP host is entered by its name.
    wrapper: { tls: await authority.issue(['wrapper.test']), settings: { smtpd_tls_wrappermode: 'yes' } },
    wrapperUnknown: {
      tls: await stranger.issue(['wrapper-unknown.test']),
      settings: { smtpd_tls_wrappermode: 'yes' },
    },
  };
  const addresses = Object.fromEntries(Object.keys(kinds).map((far, at) => [far, `127.0.61.${at + 1}`]));
  const listeners = Object.entries(kinds).map(([far, kind]) => ({ address: addresses[far] ?? '', ...kind }));
  const postfix = await startPostfix(t, { address: '127.0.61.100', listeners });
  return { postfix, addresses, caFile: authority.caFile };
}

async function start(t: TestContext) {
  const { postfix, addresses, caFile } = await farSide(t);
  const zones: Record<string, string[]> = {
    'wrapper.test': [`A ${addresses.wrapper}`],
    'wrapper-unknown.test': [`A ${addresses.wrapperUnknown}`],
  };
  for (const far of Object.keys(EXPECTED))
    for (const level of LEVELS) {
      const domain = domainOf(far, level);
      zones[domain] = [`MX 10 mx.${domain}`];
      zones[`mx.${domain}`] = [`A ${addresses[far]}`];
    }
  const dns = await startDnsServer(zones);
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['our.example'],
    accounts: [{ address: 'boss@our.example' }],
    settings: {
      'smtp.outboundPort': String(postfix.port),
      'smtp.mx.allowPrivateAddresses': 'on',
      'smtp.destinationRules': LEVELS.map((level) => `*.${level}.test tls=${level}`).join(','),
    },
    env: { NODE_EXTRA_CA_CERTS: caFile },
  });
  return { postfix, cmail };
}

interface Story {
  readonly recipients: readonly { readonly state: string; readonly lastReply: string | null }[];
  readonly events: readonly { readonly kind: string; readonly tls?: string | null }[];
}

async function submit(cmail: Cmail, to: string): Promise<string> {
  const client = await greeted(cmail.listeners.smtp);
  const from = 'boss@our.example';
  const sent = await client.sendMessage({ from, to: [to], data: letter({ from, to, subject: to }) });
  client.destroy();
  assert.ok(sent.id, sent.end?.text);
  return sent.id;
}

/** After its first attempt: how it stands, and what is said of the delivery or of what is in its way. */
async function outcome(cmail: Cmail, id: string): Promise<{ state: string; says: string; story: string }> {
  const { recipients, events } = await cmail.waitFor(
    `an attempt of ${id}`,
    async () => {
      const story = await cmail.json<Story>(['message', id]);
      const [recipient] = story.recipients;
      return recipient?.state !== 'sending' && recipient?.lastReply !== null && story;
    },
    30_000,
  );
  const { state = '', lastReply } = recipients[0] ?? {};
  const delivered = events.find(({ kind }) => kind === 'delivered');
  const says = delivered === undefined ? String(lastReply) : (delivered.tls ?? 'without TLS');
  return { state, says, story: JSON.stringify(events) };
}

/** What Postfix wrote into its Received line: the version of TLS, or null; undefined when nothing came. */
function arrivedOver(messages: readonly string[], to: string): string | null | undefined {
  const message = messages.find((text) => text.includes(`\nX-Original-To: ${to}\n`));
  return message === undefined ? undefined : (/\(using (TLSv[\d.]+) /.exec(message)?.[1] ?? null);
}

test('a rule for each level of TLS, and Postfix at each of its own', { timeout: 180_000 }, async (t) => {
  if (!requirePostfix(t) || requireTool(t, 'openssl') === null) return;
  const { postfix, cmail } = await start(t);
  const cells = Object.entries(EXPECTED).flatMap(([far, row]) =>
    LEVELS.map((level, at) => ({ to: `x@${domainOf(far, level)}`, wanted: row[at] ?? CLEAR })),
  );
  const ids = await Promise.all(cells.map(({ to }) => submit(cmail, to)));
  const outcomes = await Promise.all(ids.map((id) => outcome(cmail, id)));
  await postfix.waitForCount(cells.filter(({ wanted }) => wanted.state === 'delivered').length);
  await postfix.waitForEmptyQueue();
  const messages = await postfix.messages();
  for (const [at, { to, wanted }] of cells.entries()) {
    const { state, says, story } = outcomes[at] ?? { state: '', says: '', story: '' };
    await t.test(`${to}: ${wanted.state}, ${wanted.says.source}`, () => {
      assert.equal(state, wanted.state, `${says}\n${story}`);
      assert.match(says, wanted.says, story);
      if (wanted.also !== undefined) assert.match(story, wanted.also);
      const over = state === 'delivered' ? (/^TLSv[\d.]+/.exec(says)?.[0] ?? null) : undefined;
      assert.equal(arrivedOver(messages, to), over);
    });
  }
  await t.test('as the SMTP host, with TLS from the first byte', () => asSmtpHost(cmail, postfix));
});

async function asSmtpHost(cmail: Cmail, postfix: Postfix): Promise<void> {
  const had = await postfix.count();
  const by = async (name: string, tls: string, to: string) => {
    await cmail.set({ 'smtp.useMxResolution': 'off', 'smtp.host.name': name, 'smtp.host.tls': tls });
    return outcome(cmail, await submit(cmail, to));
  };
  await cmail.set({ 'smtp.host.port': String(postfix.port) });
  const good = await by('wrapper.test', 'implicit', 'a@wrapped.example');
  assert.equal(good.state, 'delivered', good.says);
  assert.match(good.says, /^TLSv1\.3 verified$/);
  await postfix.waitForCount(had + 1);
  assert.equal(arrivedOver(await postfix.messages(), 'a@wrapped.example'), 'TLSv1.3');
  // Taken with any certificate, as docs/settings.md says, and the story says so.
  const unknown = await by('wrapper-unknown.test', 'implicit', 'b@wrapped.example');
  assert.equal(unknown.state, 'delivered', unknown.says);
  assert.match(unknown.says, /^TLSv1\.3 unverified$/);
  // Both sides wait for the other to speak: it is put off, and never sent in clear.
  await cmail.set({ 'smtp.timeout.greeting': '1s' });
  const required = await by('wrapper.test', 'required', 'c@wrapped.example');
  assert.equal(required.state, 'queued', required.says);
  assert.match(required.says, /did not answer within 1 s \(greeting\)/);
}
