/** ACME as the server uses it: its files read, its folder in the data folder, its findings for `check`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Acme } from '../acme/acme.ts';
import type { AcmeConfig, AcmeView } from '../acme/contract.ts';
import type { CheckFinding } from '../admin/context.ts';
import { error, fine, warning } from '../admin/finding.ts';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import type { NodeConfig } from './config.ts';
import type { AcmeNodeConfig } from './config-acme.ts';
import type { Log } from './log.ts';

/** Base64url, as CAs hand the key out; plain base64 is taken too. */
const MAC_KEY = /^[A-Za-z0-9_+/-]{16,1000}={0,2}$/;

/** The file in which ACME keeps certificate and key; null without [tls.acme]. */
export function issuedFile({ acme, data }: Pick<NodeConfig, 'acme' | 'data'>): string | null {
  return acme === null ? null : join(data, 'acme', 'certificate.pem');
}

/** Opens what [tls.acme] asks for, without asking the CA yet; null when it asks for nothing. */
export async function openAcme(
  { acme, data }: Pick<NodeConfig, 'acme' | 'data'>,
  log: Log,
  installed: () => void,
): Promise<Result<Acme | null, string>> {
  if (acme === null) return ok(null);
  const config = await readFiles(acme);
  if (!config.ok) return config;
  const opened = await Acme.open({
    config: config.value,
    folder: join(data, 'acme'),
    ports: { log, installed },
  });
  return opened.ok ? opened : failed(`${opened.failure.text} ${opened.failure.mend}`);
}

async function readFiles(acme: AcmeNodeConfig): Promise<Result<AcmeConfig, string>> {
  const { caFile, externalAccount, ...rest } = acme;
  const trustedCas = caFile === null ? ok(null) : await readText('tls.acme.caFile', caFile);
  if (!trustedCas.ok) return trustedCas;
  if (trustedCas.value !== null && !trustedCas.value.includes('-----BEGIN CERTIFICATE-----')) {
    return failed(
      `tls.acme.caFile = ${JSON.stringify(caFile)}: it holds no certificate in PEM form. Name the root of the CA.`,
    );
  }
  if (externalAccount === null) return ok({ ...rest, trustedCas: trustedCas.value, externalAccount });
  const { kid, key } = externalAccount;
  const text = 'text' in key ? ok(key.text) : await readText('tls.acme.eabKeyFile', key.file);
  if (!text.ok) return text;
  if (!MAC_KEY.test(text.value.trim())) {
    const where =
      'text' in key ? 'CMAIL_TLS_ACME_EAB_KEY' : `tls.acme.eabKeyFile = ${JSON.stringify(key.file)}`;
    return failed(
      `${where}: it does not hold a key in base64url. Enter the HMAC key as your CA gave it to you.`,
    );
  }
  const hmacKey = Buffer.from(text.value.trim(), 'base64url');
  return ok({ ...rest, trustedCas: trustedCas.value, externalAccount: { kid, hmacKey } });
}

async function readText(key: string, file: string): Promise<Result<string, string>> {
  try {
    return ok(await readFile(file, 'utf8'));
  } catch (problem) {
    return failed(
      `${key} = ${JSON.stringify(file)}: it cannot be read: ${describeError(problem)}. Name a file that this user can read.`,
    );
  }
}

/** How the certificates from the CA stand: of the running server, or as its folder tells. */
export async function checkAcme(
  config: Pick<NodeConfig, 'acme' | 'data'>,
  running: AcmeView | null,
): Promise<readonly CheckFinding[]> {
  if (config.acme === null) return [];
  if (running !== null) return [judge(running)];
  const opened = await openAcme(
    config,
    () => undefined,
    () => undefined,
  );
  if (!opened.ok)
    return [error('tls', opened.failure, 'The server will not start.', 'Correct it in cmail.toml.')];
  return opened.value === null ? [] : [judge(opened.value.view())];
}

function judge({ directory, names, certificate, renewal, failure }: AcmeView): CheckFinding {
  const who = names.join(', ');
  if (failure !== null) {
    const meaning =
      certificate === null
        ? 'Until there is one, mail programs are shown a certificate that nobody vouches for.'
        : `The certificate in use goes on until ${certificate.notAfter}.`;
    const mend = `${failure.mend} The next attempt is at ${failure.nextAttemptAt}; SIGHUP makes it at once.`;
    const make = certificate === null ? error : warning;
    return make('tls', `no new certificate for ${who} from ${directory}: ${failure.text}`, meaning, mend);
  }
  if (certificate === null || renewal === null) {
    const mend = 'Start the server, or wait a minute and look again.';
    return warning(
      'tls',
      `a certificate for ${who} will be asked for at ${directory}`,
      'There is none yet.',
      mend,
    );
  }
  const by = renewal.by === 'ari' ? 'as the CA asks' : 'at two thirds of its life';
  return fine('tls', `the certificate for ${who} from ${directory} is renewed at ${renewal.at}, ${by}`);
}
