/** [tls.acme] in cmail.toml and in the environment. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openAcme } from '../../src/server/acme-service.ts';
import { loadNodeConfig } from '../../src/server/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'cmail-acme-config-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'cmail.toml');
const LEAST = 'directory = "https://ca.test/directory"\nlisten = ["127.0.0.1:8080"]';

function load(section: string, env: Record<string, string> = {}, before = '') {
  writeFileSync(file, `hostname = "Mail.A.test"\n${before}${section === '' ? '' : `[tls.acme]\n${section}`}`);
  const loaded = loadNodeConfig({ dataOption: undefined, configOption: file, env, cwd: '/somewhere' });
  return loaded.ok ? loaded.value : loaded.failure.message;
}

function acmeOf(...args: Parameters<typeof load>) {
  const config = load(...args);
  assert.ok(typeof config !== 'string', String(config));
  return config.acme;
}

test('nothing is asked for unless a directory is named; names default to the hostname', () => {
  assert.equal(acmeOf(''), null);
  assert.deepEqual(acmeOf(LEAST), {
    directory: 'https://ca.test/directory',
    agreeToTerms: false,
    contact: [],
    names: ['mail.a.test'],
    challenge: 'http-01',
    listen: [{ host: '127.0.0.1', port: 8080 }],
    caFile: null,
    externalAccount: null,
  });
});

test('every key, relative to the file', () => {
  const all = `${LEAST}
agreeToTerms = true
contact = ["admin@a.test"]
names = ["B.test", "bücher.test", "b.test"]
challenge = "tls-alpn-01"
caFile = "ca.pem"
eabKid = "kid-1"
eabKeyFile = "eab.key"`;
  assert.deepEqual(acmeOf(all), {
    directory: 'https://ca.test/directory',
    agreeToTerms: true,
    contact: ['admin@a.test'],
    names: ['b.test', 'xn--bcher-kva.test'],
    challenge: 'tls-alpn-01',
    listen: [{ host: '127.0.0.1', port: 8080 }],
    caFile: join(folder, 'ca.pem'),
    externalAccount: { kid: 'kid-1', key: { file: join(folder, 'eab.key') } },
  });
});

test('the environment comes before the file', () => {
  const fromEnvironment = acmeOf(LEAST, {
    CMAIL_TLS_ACME_DIRECTORY: 'https://other.test/d',
    CMAIL_TLS_ACME_AGREE_TO_TERMS: 'true',
    CMAIL_TLS_ACME_CONTACT: 'a@a.test, b@a.test',
    CMAIL_TLS_ACME_NAMES: 'x.test,y.test',
    CMAIL_TLS_ACME_CHALLENGE: 'tls-alpn-01',
    CMAIL_TLS_ACME_LISTEN: '127.0.0.1:1,[::1]:2',
    CMAIL_TLS_ACME_CA_FILE: 'ca.pem',
    CMAIL_TLS_ACME_EAB_KID: 'k',
    CMAIL_TLS_ACME_EAB_KEY: 'c2VjcmV0c2VjcmV0c2VjcmV0',
  });
  assert.deepEqual(fromEnvironment, {
    directory: 'https://other.test/d',
    agreeToTerms: true,
    contact: ['a@a.test', 'b@a.test'],
    names: ['x.test', 'y.test'],
    challenge: 'tls-alpn-01',
    listen: [
      { host: '127.0.0.1', port: 1 },
      { host: '::1', port: 2 },
    ],
    caFile: '/somewhere/ca.pem',
    externalAccount: { kid: 'k', key: { text: 'c2VjcmV0c2VjcmV0c2VjcmV0' } },
  });
});

const wrong: [
  what: string,
  section: string,
  message: RegExp,
  env?: Record<string, string>,
  before?: string,
][] = [
  ['no directory', 'agreeToTerms = true', /tls\.acme\.directory = "".*https address of the directory/],
  [
    'a directory without TLS',
    'directory = "http://ca.test/"',
    /tls\.acme\.directory = "http:\/\/ca\.test\/"/,
  ],
  ['a directory that is no address', 'directory = "letsencrypt"', /tls\.acme\.directory = "letsencrypt"/],
  ['no listener', 'directory = "https://ca.test/"', /tls\.acme\.listen = \[\].*port 80.*"0\.0\.0\.0:80"/],
  [
    'a listener without a port',
    `directory = "https://ca.test/"\nlisten = ["127.0.0.1"]`,
    /tls\.acme\.listen = "127\.0\.0\.1"/,
  ],
  [
    'a name with a star',
    `${LEAST}\nnames = ["*.a.test"]`,
    /tls\.acme\.names = "\*\.a\.test".*challenge in DNS/,
  ],
  ['a name that is none', `${LEAST}\nnames = ["192.0.2.1"]`, /tls\.acme\.names = "192\.0\.2\.1"/],
  ['no names', `${LEAST}\nnames = []`, /tls\.acme\.names = \[\]/],
  ['a contact that is none', `${LEAST}\ncontact = ["mailto:a@a.test x"]`, /tls\.acme\.contact/],
  ['a challenge that is none', `${LEAST}\nchallenge = "dns-01"`, /tls\.acme\.challenge/],
  [
    'the same in the environment',
    LEAST,
    /tls\.acme\.challenge = "dns-01".*http-01 or/,
    { CMAIL_TLS_ACME_CHALLENGE: 'dns-01' },
  ],
  ['a half yes', LEAST, /tls\.acme\.agreeToTerms = "perhaps"/, { CMAIL_TLS_ACME_AGREE_TO_TERMS: 'perhaps' }],
  ['an unknown key', `${LEAST}\ncontacts = []`, /unknown key tls\.acme\.contacts/],
  [
    'more names than a certificate has',
    `${LEAST}\nnames = ${JSON.stringify(Array(101).fill('a.test'))}`,
    /tls\.acme\.names/,
  ],
  ['half an external account', `${LEAST}\neabKid = "k"`, /tls\.acme\.eabKeyFile/],
  ['the other half', `${LEAST}\neabKeyFile = "k"`, /tls\.acme\.eabKid/],
  [
    'a certificate of its own beside it',
    LEAST,
    /tls\.cert names a certificate already/,
    {},
    '[tls]\ncert = "a"\nkey = "b"\n',
  ],
];
for (const [what, section, message, env, before] of wrong) {
  test(`refuses ${what}`, () => {
    const loaded = load(section, env, before);
    assert.ok(typeof loaded === 'string', 'it was taken');
    assert.match(loaded, message);
  });
}

test('files that cannot be used are named, and the key is not shown', async () => {
  const open = async (more: string, env: Record<string, string> = {}) => {
    const opened = await openAcme(
      { acme: acmeOf(`${LEAST}\n${more}`, env), data: folder },
      () => undefined,
      () => undefined,
    );
    return opened.ok ? 'opened' : opened.failure;
  };
  assert.match(await open('caFile = "nowhere.pem"'), /^tls\.acme\.caFile = .*nowhere\.pem.*cannot be read/);
  writeFileSync(join(folder, 'text'), 'short');
  assert.match(await open('caFile = "text"'), /holds no certificate/);
  assert.match(
    await open('eabKid = "k"\neabKeyFile = "text"'),
    /tls\.acme\.eabKeyFile = .*does not hold a key/,
  );
  const secret = 'not a key, but secret all the same';
  const refused = await open('', { CMAIL_TLS_ACME_EAB_KID: 'k', CMAIL_TLS_ACME_EAB_KEY: secret });
  assert.match(refused, /^CMAIL_TLS_ACME_EAB_KEY/);
  assert.ok(!refused.includes('secret'));
  writeFileSync(join(folder, 'key'), 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n');
  assert.equal(await open('eabKid = "k"\neabKeyFile = "key"'), 'opened');
});
