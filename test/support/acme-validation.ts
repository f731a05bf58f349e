/** How the ACME test server looks at a challenge: real connections to 127.0.0.1 in place of the name's address. */
import { createHash, X509Certificate } from 'node:crypto';
import { get } from 'node:http';
import { connect } from 'node:tls';

/** An ACME problem: its type without the prefix, and the words. */
export interface Trouble {
  readonly type: string;
  readonly detail: string;
}

export interface Look {
  readonly name: string;
  readonly token: string;
  readonly keyAuthorization: string;
  readonly port: number;
}

/** RFC 8555 §8.3; null when the answer is right. */
export function lookByHttp({ name, token, keyAuthorization, port }: Look): Promise<Trouble | null> {
  const path = `/.well-known/acme-challenge/${token}`;
  return new Promise((resolve) => {
    const request = get(
      { host: '127.0.0.1', port, path, headers: { host: name }, timeout: 3_000 },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        answer.on('end', () => {
          const right = answer.statusCode === 200 && body.trimEnd() === keyAuthorization;
          const detail = `http://${name}${path} answered ${answer.statusCode} ${JSON.stringify(body.slice(0, 60))}`;
          resolve(right ? null : { type: 'incorrectResponse', detail });
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error('timed out')));
    request.on('error', (error) =>
      resolve({ type: 'connection', detail: `Fetching http://${name}${path}: ${error.message}` }),
    );
  });
}

/** Object identifier 1.3.6.1.5.5.7.1.31, `critical`, and an OCTET STRING of 34 octets with one of 32 in it. */
const ACME_IDENTIFIER = Buffer.from('06082b0601050507011f0101ff04220420', 'hex');

/** RFC 8737 §3; null when the certificate is right. */
export function lookByTls({ name, keyAuthorization, port }: Look): Promise<Trouble | null> {
  return new Promise((resolve) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: name,
      ALPNProtocols: ['acme-tls/1'],
      rejectUnauthorized: false,
    });
    socket.setTimeout(3_000, () => socket.destroy(new Error('timed out')));
    socket.on('error', (error) =>
      resolve({ type: 'connection', detail: `TLS to ${name}: ${error.message}` }),
    );
    socket.on('secureConnect', () => {
      const raw = socket.getPeerCertificate().raw;
      const certificate = new X509Certificate(raw);
      const digest = createHash('sha256').update(keyAuthorization).digest();
      const right =
        socket.alpnProtocol === 'acme-tls/1' &&
        certificate.subjectAltName === `DNS:${name}` &&
        certificate.verify(certificate.publicKey) &&
        raw.includes(Buffer.concat([ACME_IDENTIFIER, digest]));
      socket.destroy();
      resolve(
        right ? null : { type: 'unauthorized', detail: `the certificate of ${name} is not the challenge's` },
      );
    });
  });
}
