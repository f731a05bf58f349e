/** The admin listener with TLS: certificates by name and taken anew, cookie, HSTS, foreign pages, mail programs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect as connectClear } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { ADMIN_PASSWORD } from '../support/api.ts';
import { makeCertificates } from '../support/certificates.ts';
import { type Cmail, startCmail, temporaryFolder } from '../support/cmail.ts';
import { runCommand } from '../support/command.ts';
import { requireTool } from '../support/require.ts';

interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

interface Call {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const HOST = 'mail.cmail.test';

function endpoint(cmail: Cmail): { host: string; port: number } {
  return cmail.listeners.adminTls ?? assert.fail('no adminTls listener');
}

/** One HTTPS request to the name in the Host header. */
function ask(cmail: Cmail, path: string, { method = 'GET', body, headers = {} }: Call = {}) {
  const content = body === undefined ? undefined : JSON.stringify(body);
  return new Promise<Response>((done, fail) => {
    const call = request(
      {
        ...endpoint(cmail),
        ...{ method, path, rejectUnauthorized: false, servername: headers.host ?? HOST, agent: false },
        headers: {
          host: HOST,
          ...(content === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('error', fail);
        response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, text }));
      },
    );
    call.on('error', fail);
    call.end(content);
  });
}

async function shownName(cmail: Cmail, servername?: string): Promise<string | undefined> {
  const name = servername === undefined ? {} : { servername };
  const socket = connect({ ...endpoint(cmail), rejectUnauthorized: false, ...name });
  await once(socket, 'secureConnect');
  const subject = socket.getPeerX509Certificate()?.subject;
  socket.destroy();
  return subject;
}

async function world(t: TestContext, listen: Record<string, unknown> = {}) {
  const folder = await temporaryFolder(t);
  const pair = async (name: string, host: string) => {
    const { cert, key } = await makeCertificates(t, [host]);
    const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
    await writeFile(files.cert, cert);
    await writeFile(files.key, key);
    return files;
  };
  const main = await pair('main', HOST);
  const extra = await pair('extra', 'autoconfig.here.test');
  const cmail = await startCmail(t, {
    config: {
      listen: { adminTls: ['127.0.0.1:0'], submissions: ['127.0.0.1:0'], pop3s: ['127.0.0.1:0'], ...listen },
      tls: { ...main, extra: [extra] },
    },
    domains: ['here.test'],
    accounts: [{ address: 'ann@here.test' }],
  });
  return { cmail, main, pair };
}

describe('the admin listener with TLS', () => {
  it('shows the certificate of the name asked for, and a renewed one at once', async (t) => {
    const { cmail, main, pair } = await world(t);
    assert.equal(await shownName(cmail), `CN=${HOST}`);
    assert.equal(await shownName(cmail, 'autoconfig.here.test'), 'CN=autoconfig.here.test');
    const renewed = await pair('renewed', 'renewed.test');
    await copyFile(renewed.key, main.key);
    await copyFile(renewed.cert, main.cert);
    process.kill(cmail.pid, 'SIGHUP');
    await cmail.waitFor('the renewed one', async () => (await shownName(cmail)) === 'CN=renewed.test');
  });

  it('has a cookie for TLS only, HSTS for its names, and takes no call of a foreign page or one in clear', async (t) => {
    const { cmail } = await world(t);
    await cmail.run(['admin', 'add', 'anna', '--password-stdin'], { input: `${ADMIN_PASSWORD}\n` });
    const body = { name: 'anna', password: ADMIN_PASSWORD };
    const signIn = (origin: string) =>
      ask(cmail, '/api/v1/session', { method: 'POST', body, headers: { origin } });
    assert.equal((await signIn('https://evil.test')).status, 403);
    assert.equal((await signIn(`http://${HOST}`)).status, 403);
    const signedIn = await signIn(`https://${HOST}`);
    assert.equal(signedIn.status, 201, signedIn.text);
    const cookie = String(signedIn.headers['set-cookie']);
    assert.match(cookie, /^__Host-[^;]+; Path=\/; HttpOnly; SameSite=Strict; .*Secure$/);
    assert.equal(signedIn.headers['strict-transport-security'], 'max-age=31536000');
    const mine = await ask(cmail, '/api/v1/session', { headers: { cookie: cookie.split(';')[0] ?? '' } });
    assert.equal(mine.status, 200, mine.text);
    const page = await ask(cmail, '/');
    assert.equal(page.headers['strict-transport-security'], 'max-age=31536000');
    const local = await ask(cmail, '/api/v1/session', { headers: { host: 'localhost' } });
    assert.equal(local.status, 401);
    assert.equal(local.headers['strict-transport-security'], undefined);
    assert.equal((await ask(cmail, '/', { headers: { host: 'foreign.test' } })).status, 421);
  });

  it('answers mail programs', async (t) => {
    const { cmail } = await world(t);
    const host = 'autoconfig.here.test';
    const path = '/mail/config-v1.1.xml?emailaddress=ann%40here.test';
    const found = await ask(cmail, path, { headers: { host } });
    assert.equal(found.status, 200);
    assert.match(found.text, /<port>465<\/port>[\s\S]*<socketType>SSL/);
    assert.equal((await ask(cmail, path, { headers: { host: 'autoconfig.there.test' } })).status, 421);
  });

  it('alone: the link of the first run is at it; who speaks HTTP in clear is closed; a stop does not wait', async (t) => {
    const { cmail } = await world(t, { admin: '' });
    assert.match(cmail.logText(), new RegExp(`https://${HOST}:${endpoint(cmail).port}/setup#token=`));
    const clear = connectClear(endpoint(cmail));
    clear.on('error', () => undefined);
    clear.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    clear.resume();
    await once(clear, 'close');
    const idle = connect({ ...endpoint(cmail), rejectUnauthorized: false });
    idle.on('error', () => undefined).resume();
    await once(idle, 'secureConnect');
    assert.deepEqual(await cmail.stop(), { code: 0, signal: null });
    t.after(() => idle.destroy());
  });

  it('works with curl, which checks the certificate', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const { caFile, cert, key } = await makeCertificates(t, [HOST]);
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'c.pem'), cert);
    await writeFile(join(folder, 'k.pem'), key);
    const cmail = await startCmail(t, {
      config: {
        listen: { adminTls: ['127.0.0.1:0'] },
        tls: { cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') },
      },
    });
    const { port } = endpoint(cmail);
    const { stdout, code } = await runCommand('curl', [
      ...['-sS', '--max-time', '20', '--cacert', caFile, '--resolve', `${HOST}:${port}:127.0.0.1`],
      `https://${HOST}:${port}/api/v1/openapi.json`,
    ]);
    assert.equal(code, 0);
    assert.match(stdout.toString(), /^\{"openapi"/);
  });
});
