/** `explain --connect`: each server called as far as EHLO; without it nobody but DNS hears of the question. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { makeCertificates } from '../support/certificates.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { requireTool } from '../support/require.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

interface Reached {
  readonly name: string;
  readonly port: number;
  readonly address: string;
  readonly ready: boolean;
  readonly stage: string;
  readonly greeting: string | null;
  readonly tls: {
    readonly version: string;
    readonly verified: boolean;
    readonly problem: string | null;
  } | null;
  readonly tlsFailure: string | null;
  readonly sizeBytes: number | null;
  readonly extensions: readonly string[];
  readonly failure: { readonly kind: string; readonly text: string } | null;
}

interface Told {
  readonly route: { readonly via: string; readonly fallback: string | null } | null;
  readonly outlook: readonly { readonly kind: string }[];
  readonly connect: readonly Reached[] | null;
}

const LOCAL = ['--client', '127.0.0.1'];
const peers = new Map<string, SmtpPeer>();
let cmail: Cmail;
let port = 0;

/** Each on an address of its own, all on the outbound port. */
async function addPeer(
  t: TestContext,
  name: string,
  address: string,
  script: PeerScript = {},
): Promise<void> {
  const peer = await startSmtpPeer(script, { address, port });
  port = peer.port;
  t.after(() => peer.close());
  peers.set(name, peer);
}

function peer(name: string): SmtpPeer {
  const found = peers.get(name);
  assert.ok(found, `there is a peer ${name}`);
  return found;
}

async function startWorld(t: TestContext): Promise<void> {
  const { selfSigned, cert, key, caFile } = await makeCertificates(t, ['good.far.example', 'relay.example']);
  await addPeer(t, 'good', '127.0.61.1', { tls: { cert, key } });
  await addPeer(t, 'self-signed', '127.0.61.2', { tls: selfSigned, extensions: ['SIZE 1000', '8BITMIME'] });
  await addPeer(t, 'broken-tls', '127.0.61.3', {
    tls: selfSigned,
    at: { starttls: '454 4.7.0 Not now' },
    extensions: [],
  });
  await addPeer(t, 'busy', '127.0.61.4', { at: { greeting: '554 5.3.2 Closed\nfor today' } });
  await addPeer(t, 'silent', '127.0.61.5', { at: { greeting: 'silent' } });
  await addPeer(t, 'mirror', '127.0.61.6', { hostname: 'mail.cmail.test' });
  await addPeer(t, 'relay', '127.0.61.7', { tls: { cert, key }, auth: { user: 'u', password: 'p' } });
  await addPeer(t, 'inside', '127.0.61.8');
  const dns = await startDnsServer({
    'far.example': ['MX 10 good.far.example', 'MX 20 self.far.example', 'MX 30 broken.far.example'],
    'good.far.example': ['A 127.0.61.1'],
    'self.far.example': ['A 127.0.61.2'],
    'broken.far.example': ['A 127.0.61.3'],
    'bad.example': [
      ...['MX 10 busy.bad.example', 'MX 20 silent.bad.example'],
      ...['MX 30 mirror.bad.example', 'MX 40 closed.bad.example'],
    ],
    'busy.bad.example': ['A 127.0.61.4'],
    'silent.bad.example': ['A 127.0.61.5'],
    'mirror.bad.example': ['A 127.0.61.6'],
    'closed.bad.example': ['A 127.0.61.99'],
    'relay.example': ['A 127.0.61.7'],
    'inside.example': ['A 127.0.61.8'],
  });
  t.after(() => dns.close());
  cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['our.example', 'branch.example'],
    accounts: [{ address: 'boss@our.example' }],
    settings: { 'smtp.outboundPort': String(port), 'smtp.mx.allowPrivateAddresses': 'on' },
    env: { NODE_EXTRA_CA_CERTS: caFile },
  });
  await cmail.run(['domain', 'forward', 'branch.example', '--to', `inside.example:${port}`]);
}

function explain(...words: readonly string[]): Promise<Told> {
  return cmail.json<Told>(['explain', ...words]);
}

/** By the first label of the server's name. */
function byName(told: Told): Map<string, Reached> {
  return new Map((told.connect ?? []).map((one) => [one.name.split('.')[0] ?? '', one]));
}

test('explain and the servers', async (whole) => {
  if (requireTool(whole, 'openssl') === null) return;
  await startWorld(whole);
  await whole.test('without --connect nobody is connected to', async () => {
    const upstream = ['smtp.host.name=relay.example', `smtp.host.port=${port}`];
    for (const words of [
      ['x@far.example', ...LOCAL],
      ['x@bad.example', ...LOCAL],
      ['x@branch.example'],
      ['x@far.example', ...LOCAL, '--with', 'smtp.useMxResolution=off', ...upstream],
    ]) {
      const told = await explain(...words);
      assert.equal(told.connect, null);
      assert.ok(told.outlook.length > 0, `${words[0]} goes outward`);
    }
    for (const [name, { sessions }] of peers) assert.equal(sessions.length, 0, `sessions at ${name}`);
  });

  await whole.test(
    'greeting, TLS, certificate, SIZE and extensions of each server, and no mail',
    async () => {
      const told = byName(await explain('x@far.example', ...LOCAL, '--connect'));
      assert.deepEqual([...told.keys()], ['good', 'self', 'broken']);
      const good = told.get('good');
      assert.ok(good?.ready && good.stage === 'ready');
      assert.deepEqual([good.address, good.port, good.sizeBytes], ['127.0.61.1', port, 52428800]);
      assert.match(good.greeting ?? '', /^220 .*ESMTP/);
      assert.deepEqual(good.tls, { version: 'TLSv1.3', verified: true, problem: null });
      assert.deepEqual(good.extensions, ['PIPELINING', 'SIZE 52428800', '8BITMIME', 'ENHANCEDSTATUSCODES']);

      const self = told.get('self');
      assert.equal(self?.tls?.verified, false);
      assert.match(self?.tls?.problem ?? '', /SELF_SIGNED|self.signed|does not match/i);
      assert.equal(self?.sizeBytes, 1000);

      const broken = told.get('broken');
      assert.deepEqual([broken?.ready, broken?.tls, broken?.sizeBytes], [true, null, null]);
      assert.match(broken?.tlsFailure ?? '', /454 4\.7\.0 Not now/);
      for (const name of ['good', 'self-signed', 'broken-tls']) {
        const said = peer(name).sessions.flatMap(({ commands }) => commands);
        assert.ok(
          said.every((line) => /^(EHLO|STARTTLS|QUIT)\b/.test(line)),
          said.join(' | '),
        );
        await cmail.waitFor(`QUIT at ${name}`, async () =>
          peer(name).sessions.at(-1)?.commands.includes('QUIT'),
        );
      }
    },
  );

  await whole.test('what failed, and how far it came', async () => {
    const short = ['--with', 'smtp.timeout.greeting=1s', 'smtp.socketTimeout=5'];
    const told = byName(await explain('x@bad.example', ...LOCAL, '--connect', ...short));
    const seen = [...told].map(([name, { ready, stage, failure }]) => [name, ready, stage, failure?.kind]);
    assert.deepEqual(seen, [
      ['busy', false, 'greeting', 'not-greeted'],
      ['silent', false, 'greeting', 'not-greeted'],
      ['mirror', false, 'greeting', 'self'],
      ['closed', false, 'connect', 'not-greeted'],
    ]);
    assert.match(told.get('busy')?.failure?.text ?? '', /554 5\.3\.2 Closed/);
    assert.match(told.get('silent')?.failure?.text ?? '', /did not answer within 1 s/);
    assert.match(told.get('closed')?.failure?.text ?? '', /connection refused/);
  });

  await whole.test('the SMTP host with its TLS mode, and without signing in', async () => {
    const upstream = [
      ...['smtp.useMxResolution=off', 'smtp.host.name=relay.example', `smtp.host.port=${port}`],
      ...['smtp.host.username=u', 'smtp.host.tls=required'],
    ];
    const [relay] =
      (await explain('x@far.example', ...LOCAL, '--connect', '--with', ...upstream)).connect ?? [];
    assert.deepEqual([relay?.ready, relay?.tls?.verified], [true, true]);
    assert.ok(relay?.extensions.some((one) => one.startsWith('AUTH ')));
    const said = peer('relay').sessions.flatMap(({ commands }) => commands);
    assert.ok(!said.some((line) => line.startsWith('AUTH')), said.join(' | '));

    const plain = upstream.map((one) => one.replace('relay.example', 'inside.example'));
    const [inside] =
      (await explain('x@far.example', ...LOCAL, '--connect', '--with', ...plain)).connect ?? [];
    assert.deepEqual([inside?.ready, inside?.failure?.kind], [false, 'tls-unavailable']);
  });

  await whole.test('the forward host; nobody for a mailbox or a refusal', async () => {
    const told = await explain('x@branch.example', '--connect');
    assert.equal(told.route?.via, 'forward');
    assert.deepEqual(
      told.connect?.map(({ name, address, ready }) => [name, address, ready]),
      [['inside.example', '127.0.61.8', true]],
    );
    assert.deepEqual((await explain('boss@our.example', '--connect')).connect, []);
    assert.deepEqual((await explain('ghost@our.example', '--connect')).connect, []);
  });

  await whole.test('the same in words', async () => {
    const good = await cmail.run(['explain', 'x@far.example', ...LOCAL, '--connect']);
    assert.match(good, /^ {2}good\.far\.example \[127\.0\.61\.1\] port \d+\n {4}ready, greeted with 220 /m);
    assert.match(good, /^ {4}TLSv1\.3, certificate verified$/m);
    assert.match(good, /^ {4}TLSv1\.3, certificate not verified: \S/m);
    assert.match(good, /^ {4}in clear because TLS failed: .*454 /m);
    assert.match(good, /^ {4}offers PIPELINING, SIZE 52428800, /m);
    assert.match(good, /^ {2}no-answer +tried again after 1m, .*failure notice 4\.4\.3 \(no fallback/m);
    const short = ['--with', 'smtp.timeout.greeting=1s'];
    const bad = await cmail.run(['explain', 'x@bad.example', ...LOCAL, '--connect', ...short]);
    assert.match(bad, /^ {4}failed \(connect\): .*connection refused/m);
    assert.match(await cmail.run(['explain', 'boss@our.example', '--connect']), /^servers called: none$/m);
  });
});
