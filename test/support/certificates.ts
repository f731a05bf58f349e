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

/** Makes a CA, a certificate for `names` (host names or IP addresses) under it, and a self-signed one. */
export async function makeCertificates(t: CleanUp, names: readonly string[]): Promise<Certificates> {
  const folder = await temporaryFolder(t);
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => runChecked('openssl', args);
  const subject = ['-subj', `/CN=${names[0] ?? 'localhost'}`];
  const altNames = names.map((name) => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  await writeFile(file('names'), `subjectAltName=${altNames}\n`);

  await openssl(
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=CMail test CA'],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-keyout', file('ca.key'), '-out', file('ca.pem')],
  );
  await openssl(...['req', ...newKey, ...subject, '-keyout', file('server.key'), '-out', file('server.csr')]);
  await openssl(
    ...['x509', '-req', '-in', file('server.csr'), '-CA', file('ca.pem'), '-CAkey', file('ca.key')],
    ...['-CAcreateserial', '-days', '2', '-extfile', file('names'), '-out', file('server.pem')],
  );
  await openssl(
    ...['req', '-x509', ...newKey, ...subject, '-days', '2', '-addext', `subjectAltName=${altNames}`],
    ...['-keyout', file('self.key'), '-out', file('self.pem')],
  );
  const read = (name: string) => readFile(file(name), 'utf8');
  return {
    caFile: file('ca.pem'),
    cert: await read('server.pem'),
    key: await read('server.key'),
    selfSigned: { cert: await read('self.pem'), key: await read('self.key') },
  };
}
