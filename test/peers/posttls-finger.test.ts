/** What an independent client, Postfix's own probe, says of TLS at our SMTP listener; DNS is a real unbound that validates. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { makeAuthority } from '../support/certificates.ts';
import { type Cmail, startCmail, temporaryFolder } from '../support/cmail.ts';
import { runCommand } from '../support/command.ts';
import { requireTool } from '../support/require.ts';
import { startValidatingResolver } from '../support/validating-resolver.ts';

const HERE = '127.0.0.1';
const RESOLVER = '127.0.62.53';
const VERIFIED = /^posttls-finger: Verified TLS connection established to .*: TLSv1\.3 with/m;
const UNTRUSTED = /^posttls-finger: Untrusted TLS connection established to .*: TLSv1\.3 with/m;

interface Ours {
  readonly cmail: Cmail;
  /** Of the CA of its certificate. */
  readonly caFile: string;
}

const NAMES = ['mx.ta.signed.test', 'mx.plain.test'];

async function start(t: TestContext): Promise<Ours> {
  const authority = await makeAuthority(t);
  const { cert, key } = await authority.issue(NAMES);
  const folder = await temporaryFolder(t);
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  // With the CA's behind it, as a server must send it for usage 2 (RFC 7671 §5.2.2).
  await writeFile(certFile, `${cert}${await readFile(authority.caFile, 'utf8')}`);
  await writeFile(keyFile, key, { mode: 0o600 });
  const cmail = await startCmail(t, {
    config: { tls: { cert: certFile, key: keyFile } },
    domains: ['our.test'],
  });
  return { cmail, caFile: authority.caFile };
}

async function probe(command: readonly string[]): Promise<string> {
  const [program = '', ...args] = command;
  const { code, stdout, stderr } = await runCommand(program, args);
  const text = stdout.toString() + stderr;
  assert.equal(code, 0, text);
  return text;
}

/**
 * Words before a command that let it see `resolver` as the system's: it runs with a resolv.conf of its own laid over the
 * machine's. Null, and the test skipped, where that is not allowed.
 */
async function withResolver(t: TestContext, resolver: string): Promise<readonly string[] | null> {
  const file = join(await temporaryFolder(t), 'resolv.conf');
  await writeFile(file, `nameserver ${resolver}\noptions trust-ad edns0\n`);
  const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  const words = ['unshare', '--mount', 'sh', '-c', script, file];
  if (requireTool(t, 'unshare') === null || requireTool(t, 'mount') === null) return null;
  const { code, stderr } = await runCommand('unshare', [...words.slice(1), 'true']);
  if (code === 0) return words;
  const reason = `resolv.conf cannot be replaced for one command, which needs root: ${stderr}`;
  if (process.env.CMAIL_TEST_REQUIRE === 'all') throw new Error(reason);
  t.skip(reason);
  return null;
}

/** Each name is a domain with us as its server, and TLSA records of our certificate: the right one is what `dns show` says. */
async function zones(ours: Ours, port: number) {
  const shown = await ours.cmail.run(['dns', 'show', 'our.test']);
  const right = /^_25\._tcp\.\S+ \d+ IN TLSA (.*)$/m.exec(shown)?.[1] ?? assert.fail(shown);
  const ca = new X509Certificate(await readFile(ours.caFile));
  const anchor = `2 0 1 ${createHash('sha256').update(ca.raw).digest('hex')}`;
  const domain = (name: string, ...tlsa: string[]) => [
    `${name} MX 10 mx.${name}`,
    `mx.${name} A ${HERE}`,
    ...tlsa.map((data) => `_${port}._tcp.mx.${name} TLSA ${data}`),
  ];
  const wrong = `3 1 1 ${'00'.repeat(32)}`;
  return {
    signed: [
      ...domain('right', right),
      // The next key's digest beside that of the one in use, before a change.
      ...domain('two', wrong, right),
      ...domain('ta', anchor),
      ...domain('ta-name', anchor),
      ...domain('wrong', wrong),
      ...domain('none'),
    ],
    plain: ['@ MX 10 mx', `mx A ${HERE}`, `_${port}._tcp.mx TLSA ${wrong}`],
  };
}

describe('posttls-finger', () => {
  it('sees STARTTLS through to QUIT, and believes the certificate only of a CA it knows and for its name', async (t) => {
    if (requireTool(t, 'posttls-finger') === null || requireTool(t, 'openssl') === null) return;
    const { cmail, caFile } = await start(t);
    const to = `[${HERE}]:${cmail.listeners.smtp.port}`;
    const known = ['-F', caFile];
    for (const [args, match, says] of [
      [['-l', 'may'], [], UNTRUSTED],
      [['-l', 'encrypt'], [], UNTRUSTED],
      [['-l', 'may', ...known], [], /^posttls-finger: Trusted TLS connection established/m],
      [['-l', 'verify', ...known], ['mx.plain.test'], VERIFIED],
      [['-l', 'secure', ...known], ['mx.plain.test'], VERIFIED],
      [['-l', 'verify'], ['mx.plain.test'], UNTRUSTED],
      [['-l', 'secure', ...known], ['mx.other.test'], /hostname mismatch.*Untrusted TLS connection/s],
    ] as const) {
      const text = await probe(['posttls-finger', ...args, to, ...match]);
      assert.match(text, says, `${args.join(' ')} ${match.join(' ')}`);
      // REQUIRETLS is offered under TLS alone, STARTTLS before it alone.
      assert.match(text, /< 250-STARTTLS.*established.*< 250 REQUIRETLS.*> QUIT.*< 221 2\.0\.0/s);
      assert.equal(text.match(/STARTTLS$/gm)?.length, 2, text);
    }
    for (const version of ['TLSv1', 'TLSv1.1'])
      assert.doesNotMatch(await probe(['posttls-finger', '-l', 'may', '-p', version, to]), /established/);
    assert.match(
      await probe(['posttls-finger', '-l', 'may', '-p', 'TLSv1.2', to]),
      /established to .*: TLSv1\.2 with/,
    );
  });

  it('finds our certificate by DANE where the records name it, and by the MX name where it trusts the CA', async (t) => {
    if (requireTool(t, 'posttls-finger') === null || requireTool(t, 'openssl') === null) return;
    const before = await withResolver(t, RESOLVER);
    if (before === null) return;
    const ours = await start(t);
    const { port } = ours.cmail.listeners.smtp;
    const input = { ...(await zones(ours, port)), onPort53At: RESOLVER };
    if ((await startValidatingResolver(t, input)) === null) return;
    for (const [level, domain, says] of [
      ['dane', 'right.signed.test', VERIFIED],
      ['dane', 'two.signed.test', VERIFIED],
      ['dane', 'ta.signed.test', VERIFIED],
      ['dane', 'ta-name.signed.test', UNTRUSTED],
      ['dane', 'wrong.signed.test', UNTRUSTED],
      ['dane', 'none.signed.test', UNTRUSTED],
      ['dane-only', 'right.signed.test', VERIFIED],
      // Nobody vouches for what an unsigned zone says.
      ['dane', 'plain.test', UNTRUSTED],
      ['verify', 'plain.test', VERIFIED],
      ['verify', 'right.signed.test', UNTRUSTED],
    ] as const) {
      const trusted = level === 'verify' ? ['-F', ours.caFile] : [];
      // What it asks a resolver to see whether that validates; usually the root's name servers, who are not here.
      const finger = ['posttls-finger', '-o', 'dnssec_probe=ns:signed.test', '-l', level];
      const text = await probe([...before, ...finger, ...trusted, `${domain}:${port}`]);
      assert.match(text, says, `${level} ${domain}\n${text}`);
    }
  });
});
