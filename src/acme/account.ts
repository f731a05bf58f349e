/** The account at the CA: found, registered or brought up to date (RFC 8555 §7.3). */
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeConfig, type AcmeFailure, acmeFailure } from './contract.ts';
import type { AcmeFiles } from './files.ts';
import { externalAccountBinding } from './jws.ts';
import { plain } from './problem.ts';
import type { AcmeSession, Directory } from './session.ts';
import { newKey } from './x509.ts';

const accountSchema = z.object({ status: z.string() });

/** The key of the account at this CA, made and kept before the first request. */
export async function accountKey(
  files: AcmeFiles,
  directory: string,
): Promise<Result<KeyObject, AcmeFailure>> {
  const stored = await files.account(directory);
  if (!stored.ok) return stored;
  if (stored.value !== null) return ok(stored.value.key);
  const key = await newKey();
  const saved = await files.saveAccount(directory, { key, url: null, contact: [] });
  return saved.ok ? ok(key) : saved;
}

/** Makes sure of the account and gives the session its URL. */
export async function useAccount(
  session: AcmeSession,
  config: AcmeConfig,
  files: AcmeFiles,
): Promise<Result<void, AcmeFailure>> {
  const stored = await files.account(config.directory);
  if (!stored.ok) return stored;
  const known = stored.value;
  if (known === null || known.url === null) return register(session, config, files);
  session.accountUrl = known.url;
  const same = JSON.stringify(known.contact) === JSON.stringify(config.contact);
  const answer = await session.postJson(
    {
      url: known.url,
      payload: same ? '' : { contact: mailUrls(config.contact) },
      what: 'the account',
    },
    accountSchema,
  );
  if (!answer.ok && answer.failure.problem === 'accountDoesNotExist') {
    // The CA has forgotten it: a CA set up anew, or an account unused for long.
    session.accountUrl = null;
    return register(session, config, files);
  }
  if (!answer.ok) return answer;
  if (answer.value.value.status !== 'valid')
    return failed(notValid(answer.value.value.status, files, config));
  return same ? ok(undefined) : files.saveAccount(config.directory, { ...known, contact: config.contact });
}

function mailUrls(contact: readonly string[]): string[] {
  return contact.map((address) => `mailto:${address}`);
}

async function register(
  session: AcmeSession,
  config: AcmeConfig,
  files: AcmeFiles,
): Promise<Result<void, AcmeFailure>> {
  const directory = await session.directory();
  if (!directory.ok) return directory;
  const unmet = unmetCondition(directory.value, config);
  if (unmet !== null) return failed(unmet);
  const { newAccount } = directory.value;
  const binding = config.externalAccount;
  const answer = await session.postJson(
    {
      url: newAccount,
      payload: {
        ...(config.agreeToTerms ? { termsOfServiceAgreed: true } : {}),
        ...(config.contact.length > 0 ? { contact: mailUrls(config.contact) } : {}),
        ...(binding === null
          ? {}
          : { externalAccountBinding: externalAccountBinding(binding, session.key, newAccount) }),
      },
      what: 'the new account',
    },
    accountSchema,
  );
  if (!answer.ok) return failed(registrationFailure(answer.failure, config));
  const url = answer.value.answer.headers.location;
  if (url === undefined) {
    return failed(
      acmeFailure('bad-answer', 'The CA named no account address.', 'Tell the operator of the CA.'),
    );
  }
  const { status } = answer.value.value;
  if (status !== 'valid') return failed(notValid(status, files, config));
  session.accountUrl = url;
  return files.saveAccount(config.directory, { key: session.key, url, contact: config.contact });
}

/** What the directory asks of a new account that the configuration does not give. */
function unmetCondition({ meta }: Directory, config: AcmeConfig): AcmeFailure | null {
  if (meta?.termsOfService !== undefined && !config.agreeToTerms) {
    const text = `The CA wants its terms agreed to: ${plain(meta.termsOfService)}`;
    return acmeFailure('terms', text, 'Read them, then set tls.acme.agreeToTerms = true and start anew.');
  }
  if (meta?.externalAccountRequired === true && config.externalAccount === null) {
    const text = 'The CA gives accounts only to customers it knows (external account binding).';
    const mend = 'Enter what your CA gave you as tls.acme.eabKid and tls.acme.eabKeyFile, then start anew.';
    return acmeFailure('external-account', text, mend);
  }
  return null;
}

/** With an external account, a refusal of the registration is nearly always about that. */
function registrationFailure(failure: AcmeFailure, config: AcmeConfig): AcmeFailure {
  const about = ['unauthorized', 'malformed', 'externalAccountRequired', 'badSignatureAlgorithm'];
  if (config.externalAccount === null || !about.includes(failure.problem ?? '')) return failure;
  const mend = `Check tls.acme.eabKid (${config.externalAccount.kid}) and the key in tls.acme.eabKeyFile against what your CA gave you; some CAs take each only once.`;
  return { ...failure, kind: 'external-account', mend };
}

function notValid(status: string, files: AcmeFiles, { directory }: AcmeConfig): AcmeFailure {
  return acmeFailure(
    'account',
    `The CA says that this account is ${plain(status)}.`,
    `Ask the CA why. To begin with a new account, stop the server, remove ${files.accountFile(directory)} and start it.`,
  );
}
