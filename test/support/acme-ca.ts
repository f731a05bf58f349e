/** The issuing half of the ACME test server: a CA of its own, by the openssl command line. */
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CleanUp, temporaryFolder } from './cmail.ts';
import { runChecked } from './command.ts';

export interface Issued {
  /** PEM: the certificate, then the CA's. */
  readonly chain: string;
  /** As RFC 9773 §4.1 names it. */
  readonly ariId: string;
}

export interface TestCa {
  /** PEM of the root. */
  readonly root: string;
  /** Host names of a certificate request (DER) whose own signature is right; throws when it is not. */
  namesOf(csr: Buffer): Promise<string[]>;
  issue(csr: Buffer, names: readonly string[], notBeforeMs: number, notAfterMs: number): Promise<Issued>;
}

export async function startTestCa(t: CleanUp): Promise<TestCa> {
  const folder = await temporaryFolder(t);
  const file = (name: string) => join(folder, name);
  const openssl = async (...args: string[]) => (await runChecked('openssl', args)).stdout.toString('utf8');
  await openssl(
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3'],
    ...['-subj', '/O=CMail/CN=ACME test CA', '-addext', 'basicConstraints=critical,CA:TRUE'],
    ...[
      '-addext',
      'keyUsage=critical,keyCertSign',
      '-addext',
      'subjectKeyIdentifier=hash',
      '-keyout',
      file('ca.key'),
      '-out',
      file('ca.pem'),
    ],
  );
  await writeFile(file('index.txt'), '');
  const root = await readFile(file('ca.pem'), 'utf8');
  const keyId = await openssl('x509', '-in', file('ca.pem'), '-noout', '-ext', 'subjectKeyIdentifier');
  const ski = Buffer.from(
    (/(?:[0-9A-F]{2}:){19}[0-9A-F]{2}/.exec(keyId)?.[0] ?? '').replaceAll(':', ''),
    'hex',
  );
  let count = 0;

  const pemOf = async (csr: Buffer): Promise<string> => {
    const name = file(`request-${++count}`);
    await writeFile(`${name}.der`, csr);
    await openssl('req', '-inform', 'DER', '-in', `${name}.der`, '-verify', '-noout', '-out', `${name}.pem`);
    await openssl('req', '-inform', 'DER', '-in', `${name}.der`, '-out', `${name}.pem`);
    return `${name}.pem`;
  };

  return {
    root,
    namesOf: async (csr) => {
      const text = await openssl('req', '-in', await pemOf(csr), '-noout', '-text');
      return [...text.matchAll(/DNS:([^,\s]+)/g)].map((match) => match[1] ?? '');
    },
    issue: async (csr, names, notBeforeMs, notAfterMs) => {
      const request = await pemOf(csr);
      const config = `${request}.cnf`;
      await writeFile(config, configuration(folder, names));
      const out = `${request}.crt`;
      await openssl(
        ...['ca', '-config', config, '-batch', '-notext', '-in', request, '-out', out],
        ...['-startdate', opensslTime(notBeforeMs), '-enddate', opensslTime(notAfterMs)],
      );
      const cert = await readFile(out, 'utf8');
      const serial = Buffer.from(new X509Certificate(cert).serialNumber, 'hex');
      const padded = (serial[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), serial]) : serial;
      return { chain: cert + root, ariId: `${ski.toString('base64url')}.${padded.toString('base64url')}` };
    },
  };
}

function opensslTime(atMs: number): string {
  return new Date(atMs).toISOString().replace(/[-:T]|\.\d+/g, '');
}

function configuration(folder: string, names: readonly string[]): string {
  return `
[ca]
default_ca = this
[this]
database = ${folder}/index.txt
new_certs_dir = ${folder}
certificate = ${folder}/ca.pem
private_key = ${folder}/ca.key
default_md = sha256
unique_subject = no
rand_serial = yes
policy = any
x509_extensions = leaf
[any]
commonName = optional
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = ${names.map((name) => `DNS:${name}`).join(',')}
`;
}
