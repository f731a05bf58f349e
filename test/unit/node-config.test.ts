import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadNodeConfig } from '../../src/server/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'cmail-config-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'cmail.toml');

function load(toml: string, env: Record<string, string> = {}, dataOption?: string) {
  writeFileSync(file, toml);
  return loadNodeConfig({ dataOption, configOption: file, env, cwd: '/somewhere' });
}

function loaded(...args: Parameters<typeof load>) {
  const result = load(...args);
  assert.ok(result.ok, result.ok ? '' : result.failure.message);
  return result.value;
}

function refused(...args: Parameters<typeof load>): string {
  const result = load(...args);
  assert.ok(!result.ok);
  return result.failure.message;
}

describe('cmail.toml', () => {
  it('has defaults on loopback, and closes what does not exist yet', () => {
    const config = loaded('hostname = "Mail.Example.COM"');
    assert.equal(config.hostname, 'mail.example.com');
    assert.deepEqual(config.listen.smtp, [{ host: '127.0.0.1', port: 2525 }]);
    assert.deepEqual(config.listen.pop3, [{ host: '127.0.0.1', port: 2110 }]);
    assert.deepEqual(config.listen.imaps, []);
  });

  it('option beats environment beats file beats default', () => {
    const toml = 'data = "from-file"\nhostname = "file.test"\n[listen]\nsmtp = ["127.0.0.3:1"]';
    assert.equal(loaded(toml).data, join(folder, 'from-file'));
    assert.equal(loaded(toml, { CMAIL_DATA: 'env' }).data, '/somewhere/env');
    assert.equal(loaded(toml, { CMAIL_DATA: 'env' }, 'option').data, '/somewhere/option');
    assert.equal(loaded(toml, { CMAIL_HOSTNAME: 'env.test' }).hostname, 'env.test');
    const two = loaded(toml, { CMAIL_LISTEN_SMTP: '127.0.0.1:0, [::1]:25' }).listen.smtp;
    assert.deepEqual(two, [
      { host: '127.0.0.1', port: 0 },
      { host: '::1', port: 25 },
    ]);
    assert.deepEqual(loaded(toml, { CMAIL_LISTEN_SMTP: '' }).listen.smtp, []);
  });

  it('takes public ports from the file and the environment', () => {
    const toml = 'hostname = "a.test"\n[public]\nsubmissions = 465\npop3 = 1110';
    assert.deepEqual(loaded('hostname = "a.test"').publicPorts, {});
    assert.deepEqual(loaded(toml).publicPorts, { submissions: 465, pop3: 1110 });
    assert.deepEqual(loaded(toml, { CMAIL_PUBLIC_POP3: '110', CMAIL_PUBLIC_POP3S: '' }).publicPorts, {
      submissions: 465,
      pop3: 110,
    });
    for (const value of ['0', '70000', '46.5', '-1']) {
      assert.match(
        refused(`hostname = "a.test"\n[public]\npop3s = ${value}`),
        /^public\.pop3s = ".*": it is not a port\. A number from 1 to 65535 such as 995 would do\.$/,
      );
    }
    assert.match(refused('[public]\nsmtp = 25'), /unknown key public\.smtp; .*public\.\*/);
    assert.match(refused('[public]\npop3 = "110"'), /public\.pop3: .*expected number/);
  });

  it('takes name servers with and without a port', () => {
    assert.deepEqual(
      loaded('hostname = "a.test"\n[dns]\nservers = ["127.0.0.1:5353", "192.0.2.1", "2001:db8::1"]')
        .dnsServers,
      ['127.0.0.1:5353', '192.0.2.1:53', '[2001:db8::1]:53'],
    );
  });

  it('takes the resolvers that are trusted: those on loopback, these, or none', () => {
    const trusted = (dns: string) => loaded(`hostname = "a.test"\n[dns]\n${dns}`).dnsTrusted;
    assert.equal(trusted(''), null);
    assert.deepEqual(trusted('trusted = ["192.0.2.53", "::1"]'), ['192.0.2.53', '::1']);
    assert.deepEqual(trusted('trusted = []'), []);
    assert.match(
      refused('hostname = "a.test"\n[dns]\ntrusted = ["192.0.2.53:53"]'),
      /^dns\.trusted = ".*": it is not the address of a DNS server\. "192\.0\.2\.53" would do\.$/,
    );
  });

  const errors: [string, string, RegExp][] = [
    ['an unknown key', 'hostnam = "x"', /unknown key hostnam; known are data, hostname/],
    ['an unknown key of a section', '[listen]\nsmpt = []', /unknown key listen\.smpt/],
    ['a wrong type', 'hostname = 5', /hostname: .*expected string/],
    ['broken TOML', 'hostname = ', /not valid TOML/],
    ['a bad host name', 'hostname = "a b"', /hostname = "a b": it is not a host name\. .*would do/],
    [
      'a listener without a port',
      'hostname="a.test"\n[listen]\nsmtp = ["127.0.0.1"]',
      /listen\.smtp = "127\.0\.0\.1".*would do/,
    ],
    ['a port out of range', 'hostname="a.test"\n[listen]\nsmtp = ["127.0.0.1:70000"]', /70000.*would do/],
    [
      'a service that does not exist yet',
      'hostname="a.test"\n[listen]\nimap = ["127.0.0.1:1"]',
      /no imap service yet.*\[\] would do/,
    ],
    [
      'an admin listener that is no address',
      'hostname="a.test"\n[listen]\nadmin = "localhost"',
      /listen\.admin.*would do/,
    ],
  ];
  for (const [what, toml, message] of errors)
    it(`refuses ${what}`, () => assert.match(refused(toml), message));

  it('the admin listener is on loopback unless it is closed, and the source of the host name is known', () => {
    const at = (toml: string) => loaded(toml).admin;
    assert.deepEqual(at('hostname="a.test"'), { host: '127.0.0.1', port: 8025 });
    assert.equal(at('hostname="a.test"\n[listen]\nadmin = ""'), null);
    assert.deepEqual(at('[listen]\nadmin = "[::1]:80"'), { host: '::1', port: 80 });
    assert.deepEqual(loaded('').listen.adminTls, []);
    assert.deepEqual(loaded('[listen]\nadminTls = ["0.0.0.0:443"]').listen.adminTls, [
      { host: '0.0.0.0', port: 443 },
    ]);
    assert.deepEqual(loaded('', { CMAIL_LISTEN_ADMINTLS: '[::]:443' }).listen.adminTls, [
      { host: '::', port: 443 },
    ]);
    assert.equal(loaded('hostname="a.test"').hostnameFrom, 'file');
    assert.equal(loaded('').hostnameFrom, 'machine');
    assert.equal(loaded('', { CMAIL_HOSTNAME: 'b.test' }).hostnameFrom, 'environment');
  });

  it('reads where the store is, TLS between machines unless it says otherwise', () => {
    const at = (url: string) => loaded(`hostname = "a.test"\n[store]\nurl = "${url}"`).store;
    assert.deepEqual(loaded('hostname = "a.test"').store, { kind: 'sqlite' });
    assert.deepEqual(at('sqlite'), { kind: 'sqlite' });
    const fromEnvironment = loaded('hostname = "a.test"', { CMAIL_STORE_URL: 'postgres://127.0.0.1/d' });
    assert.deepEqual(fromEnvironment.store, {
      kind: 'postgres',
      url: 'postgres://127.0.0.1/d',
      shown: 'postgres://127.0.0.1/d',
    });
    assert.deepEqual(at('postgresql://u:p%40ss@db.test:5433/mail'), {
      kind: 'postgres',
      url: 'postgres://u:p%40ss@db.test:5433/mail?sslmode=prefer',
      shown: 'postgres://u:***@db.test:5433/mail?sslmode=prefer',
    });
    const urlOf = (text: string) => (at(text) as { url?: string }).url;
    assert.equal(
      urlOf('postgres://u@db.test/d?sslmode=verify-full'),
      'postgres://u@db.test/d?sslmode=verify-full',
    );
    assert.equal(
      urlOf('postgres://u@127.0.0.1:5432,localhost:5433/d'),
      'postgres://u@127.0.0.1:5432,localhost:5433/d?target_session_attrs=primary',
    );
  });

  const stores: [string, string, RegExp][] = [
    ['what is no URL', 'mysql', /store\.url = "mysql": it is not a URL\. "sqlite" or .*would do/],
    ['another engine', 'mysql://u:secret@h/d', /"mysql:\/\/u:\*\*\*@h\/d": there is no engine mysql/],
    ['no host', 'postgres:///d', /names no host.*would do/],
    ['no database', 'postgres://u:secret@h', /"postgres:\/\/u:\*\*\*@h": it names no database.*would do/],
    ['a port out of range', 'postgres://u:secret@h:70000/d', /h:70000 is not a host with a port/],
    ['an unknown option', 'postgres://u:secret@h/d?tls=on', /no option tls.*Known are sslmode/],
    ['an unknown TLS mode', 'postgres://u:secret@h/d?sslmode=on', /sslmode cannot be on\. disable, prefer/],
    ['a lone %', 'postgres://u:secret%@h/d', /a % in it stands for no character.*%25/],
    ['a slash in the password', 'postgres://u:sec/secret@h/d', /cannot be told apart.*%40 %2F/],
    ['an @ in the password', 'postgres://u:secret@secret@h/d', /cannot be told apart/],
    ['a ? in the password', 'postgres://u:sec?secret@h/d', /cannot be told apart/],
    ['a # in the password', 'postgres://u:sec#secret@h/d', /cannot be told apart/],
  ];
  for (const [what, url, message] of stores)
    it(`refuses a store with ${what}, and keeps the password to itself`, () => {
      const text = refused(`hostname = "a.test"\n[store]\nurl = "${url}"`);
      assert.match(text, message);
      assert.doesNotMatch(text, /sec/);
    });

  it('reads certificates, relative to the file or to the current folder', () => {
    const toml = `hostname = "a.test"
[tls]
cert = "certs/a.pem"
key = "/keys/a.key"
[[tls.extra]]
names = ["B.Test"]
cert = "b.pem"
key = "b.key"`;
    assert.deepEqual(loaded(toml).tls, {
      main: { cert: join(folder, 'certs/a.pem'), key: '/keys/a.key' },
      extra: [{ names: ['b.test'], cert: join(folder, 'b.pem'), key: join(folder, 'b.key') }],
    });
    assert.equal(loaded(toml, { CMAIL_TLS_CERT: 'c.pem' }).tls.main?.cert, '/somewhere/c.pem');
    assert.deepEqual(loaded('hostname = "a.test"').tls, { main: null, extra: [] });
    assert.match(refused('hostname = "a.test"\n[tls]\ncert = "a.pem"'), /^tls\.key.*Name both/);
    assert.match(refused('hostname = "a.test"\n[[tls.extra]]\ncert = "a.pem"'), /tls\.extra\.0\.key/);
  });

  it('says which file cannot be read', () => {
    const result = loadNodeConfig({
      dataOption: undefined,
      configOption: 'missing.toml',
      env: {},
      cwd: folder,
    });
    assert.ok(!result.ok);
    assert.match(result.failure.message, /missing\.toml cannot be read.*--config/);
  });
});
