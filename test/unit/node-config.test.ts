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

  it('takes name servers with and without a port', () => {
    assert.deepEqual(
      loaded('hostname = "a.test"\n[dns]\nservers = ["127.0.0.1:5353", "192.0.2.1", "2001:db8::1"]')
        .dnsServers,
      ['127.0.0.1:5353', '192.0.2.1:53', '[2001:db8::1]:53'],
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
      'the page, which does not exist yet',
      'hostname="a.test"\n[listen]\nadmin = "127.0.0.1:8025"',
      /no page yet/,
    ],
    [
      'another store',
      'hostname="a.test"\n[store]\nurl = "postgres://u:secret@h/d"',
      /store\.url = "postgres:\/\/u:\*\*\*@h\/d"/,
    ],
  ];
  for (const [what, toml, message] of errors)
    it(`refuses ${what}`, () => assert.match(refused(toml), message));

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
