/** Mail programs look for their settings: autoconfig and autodiscover of the real server, read by xmllint. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, describe, it, type TestContext } from 'node:test';
import { MAX_FINDING_BYTES } from '../../src/admin/http/find-settings.ts';
import { type Answer, ask } from '../support/api.ts';
import { type Cmail, startCmail } from '../support/cmail.ts';
import { requireTool } from '../support/require.ts';

const AUTOCONFIG = '/.well-known/autoconfig/mail/config-v1.1.xml';
const AUTODISCOVER = '/autodiscover/autodiscover.xml';
const OUTLOOK = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';
const HOSTNAME = { host: 'mail.cmail.test' };

function outlookRequest(address: string, schema = OUTLOOK): string {
  return (
    '<?xml version="1.0" encoding="utf-8"?>\r\n<Autodiscover ' +
    'xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">\r\n  <Request>\r\n' +
    `    <EMailAddress>${address}</EMailAddress>\r\n` +
    `    <AcceptableResponseSchema>${schema}</AcceptableResponseSchema>\r\n  </Request>\r\n</Autodiscover>\r\n`
  );
}

function problem(answer: Answer, status: number): string {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  return String(answer.json.detail);
}

/** What an XPath expression gives in an answer, by a parser that is not ours. */
function xpath(xmllint: string, answer: Answer, expression: string): string {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['content-type'], 'text/xml; charset=utf-8');
  return execFileSync(xmllint, ['--nonet', '--xpath', expression, '-'], {
    input: answer.text,
    encoding: 'utf8',
  }).trim();
}

/** The text of the elements that XPath names by their path, whatever their namespace. */
function texts(xmllint: string, answer: Answer, path: string): string[] {
  const steps = path.split('/').map((name) => `*[local-name()='${name}']`);
  const found = xpath(xmllint, answer, `/${steps.join('/')}/text()`);
  return found.split('\n').map((line) => line.trim());
}

describe('settings for mail programs', async () => {
  const server: Cmail = await startCmail(
    { after },
    {
      domains: ['here.test', 'b\u00fccher.test'],
      accounts: [{ address: 'ann@here.test' }],
      config: {
        listen: { submissions: ['127.0.0.1:0'], submission: ['127.0.0.1:0'], pop3s: ['127.0.0.1:0'] },
        public: { pop3s: 8995 },
      },
    },
  );
  const config = (address: string, host = 'autoconfig.here.test', path = '/mail/config-v1.1.xml') =>
    ask(server, 'GET', `${path}?emailaddress=${encodeURIComponent(address)}`, { headers: { host } });
  const post = (raw: string | Buffer, host = 'autodiscover.here.test', path = AUTODISCOVER) =>
    ask(server, 'POST', path, { raw, headers: { host, 'content-type': 'text/xml' } });
  const tool = (t: TestContext) => requireTool(t, 'xmllint');

  it('Thunderbird is told what is open, with the ports to the outside', async (t) => {
    const xmllint = tool(t);
    if (xmllint === null) return;
    const answer = await config('ann@here.test');
    const provider = 'clientConfig/emailProvider';
    assert.equal(xpath(xmllint, answer, 'string(/clientConfig/@version)'), '1.1');
    assert.deepEqual(texts(xmllint, answer, `${provider}/domain`), ['here.test']);
    const both = (what: string) => [
      texts(xmllint, answer, `${provider}/outgoingServer/${what}`),
      texts(xmllint, answer, `${provider}/incomingServer/${what}`),
    ];
    assert.deepEqual(both('port'), [
      ['465', '587'],
      ['8995', '110'],
    ]);
    assert.deepEqual(both('socketType'), [
      ['SSL', 'STARTTLS'],
      ['SSL', 'STARTTLS'],
    ]);
    for (const [what, value] of [
      ['hostname', 'mail.cmail.test'],
      ['username', '%EMAILADDRESS%'],
      ['authentication', 'password-cleartext'],
    ] as const) {
      assert.deepEqual(both(what), [
        [value, value],
        [value, value],
      ]);
    }
    const type = "count(//incomingServer[@type='pop3']) + 10 * count(//outgoingServer[@type='smtp'])";
    assert.equal(xpath(xmllint, answer, type), '22');
  });

  it('finds the domain by the address or by the name it is asked at', async () => {
    const { text } = await config('ann@here.test');
    const hosts = ['here.test', 'HERE.test:8025', 'autoconfig.here.test', 'autodiscover.here.test'];
    for (const host of hosts) {
      const answer = await ask(server, 'GET', AUTOCONFIG, { headers: { host } });
      assert.deepEqual([answer.status, answer.text], [200, text], host);
    }
    for (const host of ['mail.cmail.test', 'localhost', 'autoconfig.here.test']) {
      assert.equal((await config('ann@here.test', host, AUTOCONFIG)).text, text, host);
    }
    const foreign = await config('j\u00f6rg@B\u00dcCHER.test', HOSTNAME.host);
    assert.match(foreign.text, /<domain>xn--bcher-kva\.test<\/domain>/);
    assert.match(problem(await ask(server, 'GET', AUTOCONFIG, { headers: HOSTNAME }), 400), /no e-mail/);
  });

  it('Outlook is told the same, with the whole address as user name', async (t) => {
    const xmllint = tool(t);
    if (xmllint === null) return;
    const answer = await post(outlookRequest('ann@here.test'));
    const account = 'Autodiscover/Response/Account';
    const all = (what: string) => texts(xmllint, answer, `${account}/Protocol/${what}`);
    assert.deepEqual(all('Type'), ['SMTP', 'SMTP', 'POP3', 'POP3']);
    assert.deepEqual(all('Port'), ['465', '587', '8995', '110']);
    assert.deepEqual(all('Encryption'), ['SSL', 'TLS', 'SSL', 'TLS']);
    assert.deepEqual(all('LoginName'), Array(4).fill('ann@here.test'));
    assert.deepEqual(all('Server'), Array(4).fill('mail.cmail.test'));
    assert.equal(xpath(xmllint, answer, `namespace-uri(//*[local-name()='Response'])`), OUTLOOK);
    assert.deepEqual(texts(xmllint, answer, `${account}/Action`), ['settings']);
    const capital = await post(
      outlookRequest('ann@here.test'),
      'here.test',
      '/Autodiscover/Autodiscover.xml',
    );
    assert.equal(capital.text, answer.text);
    const got = await ask(server, 'GET', `${AUTODISCOVER}?EmailAddress=ann@here.test`, { headers: HOSTNAME });
    assert.equal(got.text, answer.text);
  });

  it('a GET without an address says where to post to', async () => {
    const headers = { host: 'autodiscover.here.test' };
    const answer = await ask(server, 'GET', AUTODISCOVER, { headers });
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.location, 'https://mail.cmail.test/autodiscover/autodiscover.xml');
    problem(await ask(server, 'GET', AUTODISCOVER, { headers: HOSTNAME }), 400);
  });

  it('another schema gets the error of the protocol', async (t) => {
    const xmllint = tool(t);
    if (xmllint === null) return;
    const mobile = 'http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006';
    const answer = await post(outlookRequest('ann@here.test', mobile));
    assert.deepEqual(texts(xmllint, answer, 'Autodiscover/Response/Error/ErrorCode'), ['601']);
  });

  it('nobody learns whether an account exists', async () => {
    const { text } = await config('ann@here.test');
    assert.equal((await config('nobody@here.test')).text, text);
    const [ann, bob] = [
      await post(outlookRequest('ann@here.test')),
      await post(outlookRequest('bob@here.test')),
    ];
    assert.deepEqual([ann.status, bob.status], [200, 200]);
    assert.equal(bob.text.replaceAll('bob@', 'ann@'), ann.text);
    const away = [await config('ann@away.test'), await post(outlookRequest('ann@away.test'))];
    for (const answer of away) assert.match(problem(answer, 404), /no mail of this domain/);
  });

  it('an address with markup in it comes back as text', async (t) => {
    const xmllint = tool(t);
    if (xmllint === null) return;
    const odd = `"<a b='c'>&amp;\\""@here.test`;
    const answer = await ask(server, 'GET', `${AUTODISCOVER}?emailaddress=${encodeURIComponent(odd)}`, {
      headers: HOSTNAME,
    });
    const name = xpath(xmllint, answer, "string((//*[local-name()='LoginName'])[1])");
    assert.equal(name, odd);
    problem(await config('a\uffff@here.test'), 400);
  });

  it('bad requests are told what is wrong', async () => {
    for (const address of ['ann', '@here.test', 'ann@', 'a b@here.test', `${'a'.repeat(65)}@here.test`]) {
      problem(await config(address), 400);
      problem(await post(outlookRequest(address)), 400);
    }
    const twice = `${AUTOCONFIG}?emailaddress=a@here.test&emailaddress=b@here.test`;
    assert.match(problem(await ask(server, 'GET', twice, { headers: HOSTNAME }), 400), /twice/);
    const entity = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>';
    const bomb = outlookRequest('&x;@here.test').replace('?>', `?>${entity}`);
    assert.match(problem(await post(bomb), 400), /DOCTYPE/);
    for (const raw of ['', 'hello', '{}', '<Autodiscover/>', outlookRequest('&x;@here.test')]) {
      problem(await post(raw), 400);
    }
    problem(await post(Buffer.from([0x3c, 0xff])), 400);
    problem(await post(outlookRequest('')), 400);
    const fits = outlookRequest('ann@here.test').trim();
    assert.equal((await post(fits.padEnd(MAX_FINDING_BYTES))).status, 200);
    problem(await post(fits.padEnd(MAX_FINDING_BYTES + 1)), 413);
    const wrong = await ask(server, 'POST', AUTOCONFIG, { headers: HOSTNAME, raw: 'x' });
    problem(wrong, 405);
    assert.equal(wrong.headers.allow, 'GET, HEAD');
    assert.equal((await ask(server, 'HEAD', AUTOCONFIG, { headers: { host: 'here.test' } })).status, 200);
  });

  it('the names of mail domains open these paths and nothing else', async () => {
    for (const path of ['/', '/api/v1/setup', '/api/v1/docs', '/mail/', `${AUTOCONFIG}/x`]) {
      for (const host of ['here.test', 'autoconfig.here.test', 'autodiscover.here.test']) {
        problem(await ask(server, 'GET', path, { headers: { host } }), 421);
      }
    }
    for (const host of [
      'away.test',
      'autoconfig.away.test',
      'x.here.test',
      'autoconfig.autoconfig.here.test',
    ]) {
      problem(await config('ann@here.test', host), 421);
    }
  });

  it('dns show prints the names, with the same ports', async () => {
    const zone = await server.run(['dns', 'show', 'here.test']);
    for (const line of [
      '_submissions._tcp.here.test. 3600 IN SRV 0 1 465 mail.cmail.test.',
      '_submission._tcp.here.test. 3600 IN SRV 0 1 587 mail.cmail.test.',
      '_pop3s._tcp.here.test. 3600 IN SRV 0 1 8995 mail.cmail.test.',
      'autoconfig.here.test. 3600 IN CNAME mail.cmail.test.',
      'autodiscover.here.test. 3600 IN CNAME mail.cmail.test.',
      '_autodiscover._tcp.here.test. 3600 IN SRV 0 1 443 mail.cmail.test.',
    ]) {
      assert.ok(zone.split('\n').includes(line), `${line} is not in\n${zone}`);
    }
  });
});

it('a server without listeners for mail programs says so', async (t) => {
  const server = await startCmail(t, { domains: ['here.test'], config: { listen: { pop3: [] } } });
  const target = `${AUTOCONFIG}?emailaddress=ann@here.test`;
  const answer = await ask(server, 'GET', target, { headers: HOSTNAME });
  assert.match(problem(answer, 404), /no listener for mail programs/);
  const zone = await server.run(['dns', 'show', 'here.test']);
  assert.match(zone, /^_pop3\._tcp\.here\.test\. 3600 IN SRV 0 0 0 \.$/m);
});
