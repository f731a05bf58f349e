/** Certificates for tests, made with the openssl command line: a CA of our own and servers under it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CleanUp, temporaryFolder } from './cmail.ts';
import { runChecked } from './command.ts';

export interface ServerCertificate {
  /** PEM, the server's certificate. */
  readonly cert: string;
  /** PEM, its private key. */
  readonly key: string;
}

export interface Certificates extends ServerCertificate {
  /** File of the CA certificate; a server started with `NODE_EXTRA_CA_CERTS` set to it trusts `cert`. */
  readonly caFile: string;
  /** Signed by itself: nobody trusts it. */
  readonly selfSigned: ServerCertificate;
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A CA of our own. */
export interface Authority {
  /** File of its certificate; a server started with `NODE_EXTRA_CA_CERTS` set to it trusts what it issues. */
  readonly caFile: string;
  /** A certificate for `names` (host names or IP addresses), valid for 2 days; `expired`: until a day ago. */
  issue(names: readonly string[], options?: { readonly expired?: boolean }): Promise<ServerCertificate>;
}

const openssl = (...args: string[]) => runChecked('openssl', args);

export async function makeAuthority(t: CleanUp): Promise<Authority> {
  const folder = await temporaryFolder(t);
  const file = (name: string) => join(folder, name);
  await openssl(
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=CMail test CA'],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-keyout', file('ca.key'), '-out', file('ca.pem')],
  );
  let issued = 0;
  return {
    caFile: file('ca.pem'),
    issue: async (names, { expired = false } = {}) => {
      issued += 1;
      const serial = String(issued);
      const own = file(serial);
      const [key, request, extensions, cert] = [`${own}.key`, `${own}.csr`, `${own}.names`, `${own}.pem`];
      await writeFile(extensions, `subjectAltName=${altNames(names)}\n`);
      await openssl('req', ...newKey, ...subject(names), '-keyout', key, '-out', request);
      await openssl(
        ...['x509', '-req', '-in', request, '-CA', file('ca.pem'), '-CAkey', file('ca.key')],
        ...['-set_serial', serial, '-days', expired ? '-1' : '2', '-extfile', extensions, '-out', cert],
      );
      return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
    },
  };
}

/** Makes a CA, a certificate for `names` (host names or IP addresses) under it, and a self-signed one. */
export async function makeCertificates(t: CleanUp, names: readonly string[]): Promise<Certificates> {
  const { caFile, issue } = await makeAuthority(t);
  return { caFile, ...(await issue(names)), selfSigned: await makeSelfSigned(t, names) };
}

/** A certificate for `names` that nobody vouches for. */
export async function makeSelfSigned(t: CleanUp, names: readonly string[]): Promise<ServerCertificate> {
  const folder = await temporaryFolder(t);
  const [key, cert] = [join(folder, 'self.key'), join(folder, 'self.pem')];
  await openssl(
    ...['req', '-x509', ...newKey, ...subject(names), '-days', '2'],
    ...['-addext', `subjectAltName=${altNames(names)}`, '-keyout', key, '-out', cert],
  );
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}

function subject(names: readonly string[]): string[] {
  return ['-subj', `/CN=${names[0] ?? 'localhost'}`];
}

function altNames(names: readonly string[]): string {
  return names.map((name) => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
}
