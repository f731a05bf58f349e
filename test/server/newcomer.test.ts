/** What somebody new to the server asks, each answered by one command, on the real server. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type CleanUp, type Cmail, startCmail } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const ANNA = 'anna@here.test';
const LOCAL_TIME = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`;

interface Shown {
  readonly recipients: readonly { readonly state: string; readonly why: string | null }[];
  readonly events: readonly { readonly kind: string; readonly id?: string }[];
}

describe('a newcomer asks', () => {
  const cleanUp: (() => Promise<void> | void)[] = [];
  const hooks: CleanUp = { after: (action) => cleanUp.unshift(action) };
  let server: Cmail;
  let relay: SmtpPeer;

  before(async () => {
    // Nobody listens at 127.0.51.9; the server of strict.test knows no recipient.
    const strict = await startSmtpPeer(
      { hostname: 'mx.strict.test', at: { rcpt: '550 5.1.1 No such user here' } },
      { address: '127.0.51.2' },
    );
    hooks.after(() => strict.close());
    relay = await startSmtpPeer({ hostname: 'relay.test' }, { address: '127.0.51.1' });
    hooks.after(() => relay.close());
    const dns = await startDnsServer({
      'far.test': ['MX 10 mx.far.test'],
      'mx.far.test': ['A 127.0.51.9'],
      'strict.test': ['MX 10 mx.strict.test'],
      'mx.strict.test': ['A 127.0.51.2'],
    });
    hooks.after(() => dns.close());
    server = await startCmail(hooks, {
      config: { dns: { servers: [dns.address] } },
      domains: ['here.test'],
      accounts: [{ address: ANNA }],
      settings: {
        'smtp.mx.allowPrivateAddresses': 'on',
        'smtp.outboundPort': String(strict.port),
        'smtp.host.name': relay.address,
        'smtp.host.port': String(relay.port),
      },
    });
  });

  after(async () => {
    for (const action of cleanUp) await action();
  });

  async function send(to: string): Promise<string> {
    const client = await greeted(server.listeners.smtp);
    const data = letter({ from: ANNA, to, subject: 'hello' });
    const sent = await client.sendMessage({ from: ANNA, to: [to], data });
    await client.quit();
    assert.ok(sent.id !== undefined, sent.end?.text);
    return sent.id;
  }

  /** The words of `queue show ID` or `message ID` once the message is as far as that. */
  async function once(command: readonly string[], state: string): Promise<string> {
    await server.waitFor(`${command.join(' ')}: ${state}`, async () => {
      const { recipients, events } = await server.json<Shown>(command);
      const attempted = state !== 'queued' || events.some(({ kind }) => kind === 'deferred');
      return attempted && recipients.every((recipient) => recipient.state === state);
    });
    return server.run(command);
  }

  it('why was this refused? explain says what the client was told, and the log names client and rule', async () => {
    const client = await greeted({ ...server.listeners.smtp, localAddress: '127.0.0.2' });
    await client.command('MAIL FROM:<x@far.test>');
    for (const [recipient, rule] of [
      ['nobody@here.test', 'unknown-user'],
      ['y@far.test', 'relaying-denied'],
    ] as const) {
      const told = await client.command(`RCPT TO:<${recipient}>`);
      assert.equal(told.code, 550);
      const words = await server.run(['explain', recipient, '--client', '127.0.0.2', '--from', 'x@far.test']);
      assert.ok(words.startsWith(`${recipient}: refused (${rule})\nreply: 550 ${told.text}\n`), words);
      const line = await server.waitFor('the log line', async () =>
        server
          .logText()
          .split('\n')
          .find((one) => one.includes('recipient refused') && one.includes(recipient)),
      );
      const { client: address, kind, sender, recipient: about, rule: named, reply } = JSON.parse(line);
      assert.deepEqual(
        { address, kind, sender, about, named, reply },
        {
          address: '127.0.0.2',
          kind: 'external',
          sender: 'x@far.test',
          about: recipient,
          named: rule,
          reply: `550 ${told.text}`,
        },
      );
    }
    await client.quit();
  });

  it('why was this message refused? the log says so, for it left no message', async () => {
    await server.set({ 'smtp.hopLimit': '2' });
    const client = await greeted(server.listeners.smtp);
    const data = `${'Received: from a by b; Sun, 22 Nov 2026 12:00:00 +0000\r\n'.repeat(3)}Subject: x\r\n\r\nx\r\n`;
    const { end } = await client.sendMessage({ from: ANNA, to: [ANNA], data });
    await client.quit();
    await server.set({ 'smtp.hopLimit': '100' });
    assert.equal(end?.code, 554);
    await server.waitFor('the log line', async () =>
      server
        .logText()
        .split('\n')
        .some((one) => one.includes('message refused') && one.includes(ANNA) && one.includes('554 5.4.6')),
    );
  });

  it('why was this command refused? the log has it as it came, with the reply', async () => {
    await server.set({ 'smtp.maxIncomingSize': '1KB' });
    const client = await greeted({ ...server.listeners.smtp, localAddress: '127.0.0.2' });
    const tooLarge = await client.command('MAIL FROM:<x@far.test> SIZE=5000');
    assert.equal(tooLarge.code, 552);
    await client.command('MAIL FROM:<x@far.test>');
    const invalid = await client.command('RCPT TO:<no address>');
    assert.equal(invalid.code, 501);
    await client.quit();
    await server.set({ 'smtp.maxIncomingSize': '50MB' });
    for (const [command, told, sender] of [
      ['MAIL FROM:<x@far.test> SIZE=5000', tooLarge, ''],
      ['RCPT TO:<no address>', invalid, 'x@far.test'],
    ] as const) {
      const line = await server.waitFor(`the log line of ${command}`, async () =>
        server
          .logText()
          .split('\n')
          .find((one) => one.includes('command refused') && one.includes(command)),
      );
      const { client: address, sender: from, reply } = JSON.parse(line);
      const expected = { address: '127.0.0.2', from: sender, reply: `${told.code} ${told.text}` };
      assert.deepEqual({ address, from, reply }, expected);
    }
  });

  it('where is it now, and when is the next try? queue show', async () => {
    const id = await send('x@far.test');
    const words = await once(['queue', 'show', id], 'queued');
    const refused = String.raw`No server could be reached: mx\.far\.test \[127\.0\.51\.9\]: connection refused`;
    assert.match(
      words,
      new RegExp(
        `^  x@far\\.test waits since ${LOCAL_TIME}: ${refused}; attempt 2 is at ${LOCAL_TIME}, the last one is at ${LOCAL_TIME}, and if it fails CMail gives up`,
        'm',
      ),
    );
    assert.match(words, /the sender is not told yet: a delay notice is due at \d{4}-/);
    await server.run(['queue', 'hold', id]);
    assert.match(await server.run(['queue', 'show', id]), /x@far\.test is held: an administrator holds it/);
    await server.run(['queue', 'release', id]);
  });

  it('where is it now? message, also when it has arrived here', async () => {
    const words = await once(['message', await send(ANNA)], 'delivered');
    assert.match(
      words,
      /received .* from <anna@here\.test>, from the local client \[127\.0\.0\.1\], .* by ESMTP/,
    );
    assert.match(words, /anna@here\.test accepted, stays here: there is an account .*\(rule account\)/);
    assert.match(words, /anna@here\.test delivered into the mailbox/);
  });

  it('why did it go by the SMTP host? message', async () => {
    await server.set({ 'smtp.fallbackToSmtpHost': 'on' });
    const words = await once(['message', await send('z@far.test')], 'delivered');
    await server.set({ 'smtp.fallbackToSmtpHost': 'off' });
    assert.equal(relay.messages.length, 1);
    assert.match(words, /attempt for z@far\.test by MX resolution, took/);
    assert.match(words, /MX: 10 mx\.far\.test/);
    assert.match(
      words,
      /mx\.far\.test \[127\.0\.51\.9\] port \d+, not connected, \d+ ms: .*connection refused/,
    );
    assert.match(
      words,
      /went over to the SMTP host 127\.0\.51\.1: unreachable: No server could be reached: .*mx\.far\.test/,
    );
    assert.match(words, /attempt for z@far\.test by the SMTP host, because MX failed: unreachable/);
    assert.match(words, /z@far\.test delivered to 127\.0\.51\.1 \[127\.0\.51\.1\], without TLS: 250/);
  });

  it('was the sender told? message, and the notice it names', async () => {
    const id = await send('gone@strict.test');
    const words = await once(['message', id], 'failed');
    assert.match(words, /gone@strict\.test failed for good, 5\.1\.1: .*550 5\.1\.1 No such user here/);
    const notice = /failure notice sent to anna@here\.test as message (\S+)/.exec(words)?.[1];
    assert.ok(notice !== undefined, words);
    const told = await server.run(['message', notice]);
    assert.match(told, new RegExp(`a notice about message ${id}$`, 'm'));
    assert.match(told, /anna@here\.test delivered into the mailbox/);
  });
});
