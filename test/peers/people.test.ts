/** People's mail programs, and strangers: the real programs against the real server, under TLS. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { makeCertificates } from '../support/certificates.ts';
import { type CleanUp, type Cmail, startCmail, temporaryFolder } from '../support/cmail.ts';
import { runChecked, runCommand } from '../support/command.ts';
import { requireTool } from '../support/require.ts';

const PASSWORD = 'a secret: 100% ✓';
const ANN = { address: 'ann@local.example', password: PASSWORD };
const BOB = { address: 'bob@local.example', password: 'another-secret' };
const ANY = ['127.0.0.1:0'];

interface World {
  readonly cmail: Cmail;
  readonly folder: string;
  readonly caFile: string;
}

async function makeWorld(t: CleanUp): Promise<World> {
  const folder = await temporaryFolder(t);
  const { cert, key, caFile } = await makeCertificates(t, ['localhost', '127.0.0.1']);
  await writeFile(join(folder, 'cert.pem'), cert);
  await writeFile(join(folder, 'key.pem'), key);
  const cmail = await startCmail(t, {
    config: {
      listen: { submission: ANY, submissions: ANY, pop3s: ANY },
      tls: { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') },
    },
    domains: ['local.example'],
    accounts: [ANN, BOB],
    aliases: { 'sales@local.example': [ANN.address] },
  });
  return { cmail, folder, caFile };
}

type ListenerName = 'smtp' | 'submission' | 'submissions' | 'pop3' | 'pop3s';

function portOf({ cmail }: World, name: ListenerName): number {
  return cmail.listeners[name]?.port ?? assert.fail(`no listener ${name}`);
}

/** From another address than the relay networks', unless `local`. */
async function swaks(world: World, listener: ListenerName, ...args: string[]) {
  const to = ['--server', `127.0.0.1:${portOf(world, listener)}`, '--local-interface', '127.0.0.2'];
  const mail = ['--helo', 'client.example', '--to', BOB.address, '--header', 'Subject: from swaks'];
  const result = await runCommand('swaks', [...to, ...mail, ...args]);
  return { code: result.code, text: result.stdout.toString() + result.stderr };
}

const AS_ANN = ['--auth-user', ANN.address, '--auth-password', PASSWORD, '--from', ANN.address];

/** What `curl` prints; a listing, or message n. */
async function collect(world: World, listener: 'pop3' | 'pop3s', path: string, who = BOB): Promise<string> {
  const url = `${listener}://localhost:${portOf(world, listener)}/${path}`;
  const tls = ['--cacert', world.caFile, ...(listener === 'pop3' ? ['--ssl-reqd'] : [])];
  const args = ['-sS', '--ipv4', '--max-time', '20', ...tls, '--user', `${who.address}:${who.password}`];
  return (await runChecked('curl', [...args, url])).stdout.toString();
}

async function newest(world: World): Promise<string> {
  const lines = (await collect(world, 'pop3s', '')).trim().split('\n');
  return collect(world, 'pop3s', String(lines.length));
}

describe('people', () => {
  let world: World;
  const cleanUp: (() => Promise<void> | void)[] = [];
  before(async () => {
    world = await makeWorld({ after: (action) => void cleanUp.push(action) });
  });
  after(async () => {
    for (const action of cleanUp.reverse()) await action();
  });

  it('swaks signs in by every mechanism over every way into TLS', async (t) => {
    if (!requireTool(t, 'swaks')) return;
    const ways: [ListenerName, string, RegExp][] = [
      ['submission', '--tls', /with ESMTPSA id/],
      ['submissions', '--tls-on-connect', /with ESMTPSA id/],
      ['smtp', '--tls', /with ESMTPSA id/],
    ];
    for (const [listener, tls, protocol] of ways) {
      for (const mechanism of ['PLAIN', 'LOGIN']) {
        const { code, text } = await swaks(world, listener, tls, '--auth', mechanism, ...AS_ANN);
        assert.equal(code, 0, text);
        const message = await newest(world);
        assert.match(message, protocol, `${listener} ${mechanism}`);
        assert.match(message, /\(using TLSv1\.3 TLS_/);
      }
    }
    const sent = await swaks(world, 'smtp', '--tls', '--from', 'x@outside.example');
    assert.equal(sent.code, 0, sent.text);
    assert.match(await newest(world), /with ESMTPS id/);
  });

  it('what must not be is refused: in clear, without sign-in, with a wrong password, as somebody else', async (t) => {
    if (!requireTool(t, 'swaks')) return;
    const table: [string, ListenerName, string[], RegExp][] = [
      ['without sign-in', 'submission', ['--tls', '--from', ANN.address], /530 5\.7\.0/],
      ['without TLS', 'submission', ['--from', ANN.address], /530 5\.7\.0/],
      [
        'a wrong password',
        'submissions',
        ['--tls-on-connect', '--auth', 'LOGIN', ...AS_ANN, '--auth-password', 'wrong'],
        /535 5\.7\.8/,
      ],
      [
        'another sender',
        'submission',
        ['--tls', '--auth', 'PLAIN', ...AS_ANN, '--from', BOB.address],
        /550 5\.7\.1 <bob@local\.example> is not an address of ann@local\.example/,
      ],
      ['relaying', 'smtp', ['--tls', '--from', ANN.address, '--to', 'x@outside.example'], /550 5\.7\.1/],
    ];
    for (const [what, listener, args, words] of table) {
      const { code, text } = await swaks(world, listener, ...args);
      assert.notEqual(code, 0, what);
      assert.match(text, words, what);
    }
    for (const from of ['sales@local.example', 'ann+shop@local.example', 'sales+x@local.example']) {
      const { code, text } = await swaks(
        world,
        'submission',
        '--tls',
        '--auth',
        'PLAIN',
        ...AS_ANN,
        '--from',
        from,
      );
      assert.equal(code, 0, text);
    }
  });

  it('signed in, one sends anywhere, and the timeline tells how', async (t) => {
    if (!requireTool(t, 'swaks')) return;
    const out = ['--to', 'friend@outside.example'];
    const { text } = await swaks(
      world,
      'submissions',
      '--tls-on-connect',
      '--auth',
      'PLAIN',
      ...AS_ANN,
      ...out,
    );
    const id = /queued as (\S+)/.exec(text)?.[1] ?? assert.fail(text);
    const story = await world.cmail.run(['message', id]);
    assert.match(story, /ESMTPSA \(TLSv1\.3 TLS_[A-Z0-9_]+\), signed in as ann@local\.example, with TLS/);
  });

  it('curl sends by smtp and smtps, and collects by pop3 and pop3s', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const letter = join(world.folder, 'letter.eml');
    // No Date, no Message-ID, no From: the server adds them (RFC 6409 §8).
    await writeFile(letter, 'Subject: from curl\r\n\r\nhello\r\n.dot\r\n');
    for (const [scheme, listener] of [
      ['smtp', 'submission'],
      ['smtps', 'submissions'],
    ] as const) {
      const url = `${scheme}://localhost:${portOf(world, listener)}/client.example`;
      const tls = ['--ssl-reqd', '--cacert', world.caFile, '--user', `${ANN.address}:${PASSWORD}`];
      const mail = ['--mail-from', ANN.address, '--mail-rcpt', BOB.address, '--upload-file', letter];
      await runChecked('curl', ['-sS', '--ipv4', '--max-time', '20', ...tls, ...mail, url]);
      const message = await newest(world);
      assert.match(
        message,
        /^Date: .* \+0000\r\nMessage-ID: <[^>]+@mail\.cmail\.test>\r\nFrom: <ann@local\.example>\r\nSubject: from curl\r\n\r\nhello\r\n\.dot\r\n/m,
      );
    }
    const count = (await collect(world, 'pop3', '')).trim().split('\n').length;
    assert.match(await collect(world, 'pop3', String(count)), /Subject: from curl/);
  });

  it('msmtp sends with the certificate checked', async (t) => {
    if (!requireTool(t, 'msmtp')) return;
    for (const [listener, starttls] of [
      ['submission', 'on'],
      ['submissions', 'off'],
    ] as const) {
      const file = join(world.folder, `msmtprc-${listener}`);
      const lines = [
        'account default',
        'host localhost',
        `port ${portOf(world, listener)}`,
        `tls on\ntls_starttls ${starttls}\ntls_trust_file ${world.caFile}`,
        `auth on\nuser ${BOB.address}\npassword ${BOB.password}\nfrom ${BOB.address}`,
      ];
      await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
      await runChecked('msmtp', ['-C', file, BOB.address], {
        input: `Subject: msmtp ${listener}\n\nhello\n`,
      });
      assert.match(await newest(world), new RegExp(`Subject: msmtp ${listener}`));
    }
  });

  it('fetchmail collects by STLS and by pop3s', async (t) => {
    if (!requireTool(t, 'fetchmail') || !requireTool(t, 'swaks')) return;
    for (const [listener, ssl] of [
      ['pop3', `sslproto tls1.2+`],
      ['pop3s', 'ssl'],
    ] as const) {
      await swaks(
        world,
        'smtp',
        '--from',
        'x@outside.example',
        '--to',
        ANN.address,
        '--body',
        `by ${listener}`,
      );
      const rcfile = join(world.folder, `fetchmailrc-${listener}`);
      const out = join(world.folder, `fetched-${listener}`);
      const rules = `set no bouncemail
poll localhost protocol pop3 port ${portOf(world, listener)} auth password
  username "${ANN.address}" password "${PASSWORD}" ${ssl} sslcertck sslcertfile ${world.caFile}
  nokeep fetchall mda "cat >> ${out}"
`;
      await writeFile(rcfile, rules, { mode: 0o600 });
      const files = [
        '-f',
        rcfile,
        '--pidfile',
        join(world.folder, 'pid'),
        '--idfile',
        join(world.folder, 'ids'),
      ];
      const env = { ...process.env, HOME: world.folder };
      await runChecked('fetchmail', [...files, '--nodetach', '--nosyslog'], { env, timeoutMs: 30_000 });
      assert.match(await readFile(out, 'utf8'), new RegExp(`by ${listener}`));
    }
  });

  it('mutt collects by pop3s with SASL', async (t) => {
    if (!requireTool(t, 'mutt') || !requireTool(t, 'script')) return;
    const muttrc = join(world.folder, 'muttrc');
    const box = join(world.folder, 'copied');
    await writeFile(
      muttrc,
      `set folder=${world.folder} mbox_type=maildir header_cache="" pop_delete=no
set confirmappend=no confirmcreate=no sleep_time=0 ssl_force_tls=yes
set ssl_ca_certificates_file=${world.caFile} certificate_file="" pop_authenticators="plain"
set pop_user="${BOB.address}" pop_pass="${BOB.password}"
push "<copy-message>${box}<enter><exit>"
`,
    );
    const command = `mutt -n -F ${muttrc} -f pops://localhost:${portOf(world, 'pop3s')}`;
    const env = { ...process.env, HOME: world.folder, TERM: 'xterm' };
    await runChecked('script', ['-qec', command, '/dev/null'], { env, timeoutMs: 30_000 });
    assert.equal((await readdir(join(box, 'new'))).length, 1);
  });

  it('openssl: TLS 1.2 and 1.3, nothing older, over STARTTLS and directly', async (t) => {
    if (!requireTool(t, 'openssl')) return;
    const connect = async (listener: ListenerName, ...args: string[]) => {
      const target = ['-connect', `localhost:${portOf(world, listener)}`, '-CAfile', world.caFile];
      const result = await runCommand('openssl', ['s_client', ...target, ...args], { input: 'QUIT\n' });
      return result.stdout.toString() + result.stderr;
    };
    const ways: [ListenerName, string[]][] = [
      ['smtp', ['-starttls', 'smtp']],
      ['submissions', []],
      ['pop3', ['-starttls', 'pop3']],
      ['pop3s', []],
    ];
    for (const [listener, args] of ways) {
      for (const [version, name] of [
        ['-tls1_3', 'TLSv1.3'],
        ['-tls1_2', 'TLSv1.2'],
      ] as const) {
        const text = await connect(listener, ...args, version);
        assert.match(text, new RegExp(`New, ${name}|Protocol *: ${name}`), `${listener} ${version}`);
        assert.match(text, /Verify return code: 0 \(ok\)/, listener);
      }
      assert.match(
        await connect(listener, ...args, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'),
        /no peer certificate/,
      );
    }
  });

  it('sslscan finds nothing weak', async (t) => {
    if (!requireTool(t, 'sslscan')) return;
    const { stdout } = await runChecked('sslscan', [
      '--no-colour',
      `localhost:${portOf(world, 'submissions')}`,
    ]);
    const text = stdout.toString();
    for (const old of ['SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1'])
      assert.match(text, new RegExp(`${old} +disabled`));
    for (const good of ['TLSv1.2', 'TLSv1.3']) assert.match(text, new RegExp(`${good} +enabled`));
    assert.match(text, /Session renegotiation not supported|Secure session renegotiation supported/);
    assert.match(text, /Compression disabled|does not support compression/);
    assert.doesNotMatch(text, /(?<!not )vulnerable to heartbleed/);
    const ciphers = text.match(/^(?:Preferred|Accepted) .*$/gm) ?? [];
    assert.ok(ciphers.length >= 5);
    for (const cipher of ciphers) assert.match(cipher, /TLS_AES|TLS_CHACHA20|ECDHE-.*(?:GCM|CHACHA20)/);
  });

  it('an app password does what it is for, until it is revoked', async (t) => {
    if (!requireTool(t, 'swaks') || !requireTool(t, 'curl')) return;
    const made = await world.cmail.run([
      'account',
      'app-password',
      'add',
      BOB.address,
      'copier',
      '--scope',
      'send',
    ]);
    const password = made.trim().split('\n').at(-1) ?? '';
    const send = (word: string) =>
      swaks(
        world,
        'submission',
        '--tls',
        '--auth',
        'PLAIN',
        '--auth-user',
        BOB.address,
        '--auth-password',
        word,
        '--from',
        BOB.address,
      );
    assert.equal((await send(password)).code, 0);
    assert.equal((await send(password.replaceAll('-', ' ').toUpperCase())).code, 0);
    await assert.rejects(collect(world, 'pop3s', '', { ...BOB, password }), /curl/);
    const story = await world.cmail.run(['account', 'sign-ins', BOB.address]);
    assert.match(story, /ok +127\.0\.0\.2 +submission +copier +TLSv1\.3/);
    assert.match(story, /refused +127\.0\.0\.1 +pop3 +copier +TLSv1\.3 +app password copier is not for this/);
    assert.match(await world.cmail.run(['account', 'app-password', 'list', BOB.address]), /copier +send /);
    await world.cmail.run(['account', 'app-password', 'revoke', BOB.address, 'copier']);
    assert.match((await send(password)).text, /535 5\.7\.8/);
  });

  it('passwords are in no log', async () => {
    const log = world.cmail.logText();
    assert.match(log, /signed in/);
    for (const secret of [
      PASSWORD,
      BOB.password,
      Buffer.from(`\0${ANN.address}\0${PASSWORD}`).toString('base64'),
    ])
      assert.ok(!log.includes(secret));
  });

  it('nmap finds no open relay, whatever is done about unknown users', async (t: TestContext) => {
    if (!requireTool(t, 'nmap')) return;
    const port = String(portOf(world, 'smtp'));
    const script = [
      '--script',
      'smtp-open-relay',
      '--script-args',
      'smtp-open-relay.ip=127.0.0.1,smtp.domain=client.example',
    ];
    // From another address than the relay networks'.
    const args = [
      ...['-Pn', '-sT', '-sV', '--version-light', '-S', '127.0.0.2', '-e', 'lo', '-p', port],
      ...[...script, '127.0.0.1'],
    ];
    for (const refuse of ['on', 'off']) {
      for (const assume of ['off', 'on']) {
        const settings = { 'smtp.refuseUnknownUsers': refuse, 'smtp.assumeExternal': assume };
        await world.cmail.set(settings);
        const { stdout } = await runCommand('nmap', args, { timeoutMs: 120_000 });
        const text = stdout.toString();
        assert.match(
          text,
          /Server doesn't seem to be an open relay, all tests failed/,
          `${JSON.stringify(settings)} ${text}`,
        );
      }
    }
  });
});
