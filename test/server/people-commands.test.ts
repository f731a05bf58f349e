/** The commands about people and strangers, against a running server. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startCmail } from '../support/cmail.ts';
import { connect } from '../support/smtp-client.ts';

const WRONG = `AUTH PLAIN ${Buffer.from('\0ann@here.test\0wrong one').toString('base64')}`;

it('tells DNS records, app passwords, sign-ins and bans, and the certificate in status', async (t) => {
  const cmail = await startCmail(t, {
    domains: ['here.test'],
    accounts: [{ address: 'ann@here.test' }],
    config: { proxy: { from: ['127.0.0.9'] } },
  });
  const zone = await cmail.run(['dns', 'show', 'here.test']);
  assert.match(zone, /^here\.test\. 3600 IN MX 10 mail\.cmail\.test\.$/m);
  assert.match(zone, /^_pop3\._tcp\.here\.test\. 3600 IN SRV 0 1 110 mail\.cmail\.test\.$/m);
  assert.match(zone, /^_submissions\._tcp\.here\.test\. 3600 IN SRV 0 0 0 \.$/m);
  assert.match(zone, /^_imaps\._tcp\.here\.test\. 3600 IN SRV 0 0 0 \.$/m);
  assert.match(
    zone,
    /^; only with DNSSEC.*\n_25\._tcp\.mail\.cmail\.test\. 3600 IN TLSA 3 1 1 [\da-f]{64}$/m,
  );
  assert.match(
    zone,
    /^; optional.*\n_smtp\._tls\.here\.test\. 3600 IN TXT "v=TLSRPTv1; rua=mailto:postmaster@here\.test"$/m,
  );
  assert.match(
    (await cmail.cli(['dns', 'show', 'there.test'])).stderr,
    /not a hosted domain[\s\S]*domain add/,
  );

  await cmail.run(['account', 'app-password', 'add', 'ann@here.test', 'phone']);
  const again = await cmail.cli(['account', 'app-password', 'add', 'ann@here.test', 'phone']);
  assert.match(again.stderr, /has an app password phone already/);
  const bad = await cmail.cli(['account', 'app-password', 'add', 'ann@here.test', 'x', '--scope', 'all']);
  assert.equal(bad.code, 2);
  const gone = await cmail.cli(['account', 'app-password', 'revoke', 'ann@here.test', 'tablet']);
  assert.match(gone.stderr, /no app password tablet/);

  // Named by a proxy, so that every try can be of a network of its own but for the one that guesses.
  const attempt = async (address: string): Promise<string> => {
    const client = await connect({ ...cmail.listeners.smtp, localAddress: '127.0.0.9' });
    client.socket.write(`PROXY TCP4 ${address} 127.0.0.1 1 25\r\n`);
    await client.greeting();
    await client.command('EHLO client.test');
    const { code, text } = await client.command(WRONG);
    client.destroy();
    return `${code} ${text}`;
  };
  // Sign-in in clear is for this machine alone, also when a proxy says so.
  assert.match(await attempt('192.0.2.7'), /^538 5\.7\.11/);
  for (let n = 0; n < 3; n += 1) assert.match(await attempt('127.0.0.7'), /^535 5\.7\.8/);
  // The client has its answer before the history has it.
  const history = await cmail.waitFor('three sign-ins to be kept', async () => {
    const rows = await cmail.json<{ outcome: string; address: string; reason: string }[]>([
      'account',
      'sign-ins',
      'ann@here.test',
    ]);
    return rows.length === 3 && rows;
  });
  assert.deepEqual(
    history.map(({ outcome, address, reason }) => [outcome, address, reason]),
    Array.from({ length: 3 }, () => ['refused', '127.0.0.7', 'wrong password']),
  );
  assert.match(await cmail.run(['access', 'list']), /Nobody is banned/);
  assert.match((await cmail.cli(['access', 'unban', '127.0.0.7'])).stderr, /127\.0\.0\.7 is not banned/);

  const status = await cmail.json<{ tls: { names: string[]; warning: string }[]; bans: unknown[] }>([
    'status',
  ]);
  assert.deepEqual(status.tls[0]?.names, ['mail.cmail.test']);
  assert.match(status.tls[0]?.warning ?? '', /made for itself/);
  assert.deepEqual(status.bans, []);
  const findings = await cmail.json<{ topic: string; level: string }[]>(['check']).catch(async () => {
    const result = await cmail.cli(['check', '--json']);
    return JSON.parse(result.stdout) as { topic: string; level: string }[];
  });
  assert.equal(findings.find(({ topic }) => topic === 'tls')?.level, 'warning');

  // Without a server the same, as the files have it.
  await cmail.stop();
  const tlsa = (text: string) => /^_25\._tcp\..*$/m.exec(text)?.[0];
  assert.equal(tlsa(await cmail.run(['dns', 'show', 'here.test'])), tlsa(zone));
  assert.ok(!cmail.logText().includes('wrong one') && !cmail.logText().includes(WRONG.slice(11)));
});

it("an account's forward is set, shown, explained, told in the story and taken away by command", async (t) => {
  const cmail = await startCmail(t, {
    domains: ['here.test'],
    accounts: [{ address: 'ann@here.test' }, { address: 'bob@here.test' }],
  });
  const forward = (...words: string[]) => cmail.run(['account', 'forward', 'ann@here.test', ...words]);
  assert.match(await forward(), /^no forward$/m);
  assert.match(
    await forward('--to', 'bob@here.test,x@far.test', '--keep', 'off'),
    /ann@here\.test forwards to bob@here\.test, x@far\.test, without a copy/,
  );
  assert.match(await forward(), /^forwards to bob@here\.test, x@far\.test, without a copy$/m);
  for (const words of [
    ['none', '--to', 'x@far.test'],
    ['--to', 'x@far.test', '--keep', 'perhaps'],
    ['nobody'],
  ]) {
    assert.equal((await cmail.cli(['account', 'forward', 'ann@here.test', ...words])).code, 2);
  }
  const itself = await cmail.cli(['account', 'forward', 'ann@here.test', '--to', 'ann@here.test']);
  assert.equal(itself.code, 1);
  assert.match(itself.stderr, /leads back to ann@here\.test/);
  const explained = await cmail.run(['explain', 'ann@here.test']);
  assert.match(
    explained,
    /the account ann@here\.test forwards to bob@here\.test, x@far\.test and keeps no copy/,
  );

  const client = await connect({ ...cmail.listeners.smtp, localAddress: '127.0.0.2' });
  await client.greeting();
  await client.command('EHLO client.test');
  const { id } = await client.sendMessage({
    from: 'y@away.test',
    to: ['ann@here.test'],
    data: 'Subject: x\r\n\r\nx\r\n',
  });
  client.destroy();
  const story = await cmail.run(['message', id ?? '']);
  assert.match(story, /the account ann@here\.test forwards its mail there/);
  assert.match(await forward('none'), /ann@here\.test forwards to nobody/);
  const audit = await cmail.run(['audit']);
  assert.match(
    audit,
    /account\.forward +ann@here\.test forwards to bob@here\.test, x@far\.test, without a copy kept/,
  );
});
