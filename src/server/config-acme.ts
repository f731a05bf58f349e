/** The [tls.acme] section of cmail.toml: where certificates are asked for (RFC 8555). */
import { z } from 'zod';
import { type ChallengeType, MAX_NAMES } from '../acme/contract.ts';
import { canonicalDomain, parseAddress } from '../mail/address.ts';
import { failed, ok, type Result } from '../mail/failure.ts';
import type { Endpoint } from './config.ts';

const CHALLENGES: readonly ChallengeType[] = ['http-01', 'tls-alpn-01'];
const MAX_CONTACTS = 10;
const MAX_LISTENERS = 10;

export const acmeSchema = z
  .strictObject({
    directory: z.string(),
    agreeToTerms: z.boolean(),
    contact: z.array(z.string()).max(MAX_CONTACTS),
    names: z.array(z.string()).max(MAX_NAMES),
    challenge: z.enum(CHALLENGES),
    listen: z.array(z.string()).max(MAX_LISTENERS),
    caFile: z.string(),
    eabKid: z.string(),
    eabKeyFile: z.string(),
  })
  .partial();

export type AcmeFileConfig = z.infer<typeof acmeSchema>;

/** The section as checked; its files are read at the start of the server. */
export interface AcmeNodeConfig {
  readonly directory: string;
  readonly agreeToTerms: boolean;
  readonly contact: readonly string[];
  readonly names: readonly string[];
  readonly challenge: ChallengeType;
  readonly listen: readonly Endpoint[];
  /** Absolute path; null: the CAs that Node trusts. */
  readonly caFile: string | null;
  readonly externalAccount: {
    readonly kid: string;
    /** The key itself, from the environment, or the absolute path of the file that holds it. */
    readonly key: { readonly text: string } | { readonly file: string };
  } | null;
}

/** What is wrong with one key: as `refuse` in config.ts takes it. */
export interface AcmeConfigError {
  readonly key: string;
  readonly value: unknown;
  readonly reason: string;
  readonly wouldDo: string;
}

export interface AcmeConfigInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fromFile: AcmeFileConfig | undefined;
  readonly hostname: string;
  /** Whether tls.cert is given. */
  readonly ownCertificate: boolean;
  readonly fromFileFolder: (path: string) => string;
  readonly fromCurrentFolder: (path: string) => string;
  /** Reads `address:port`; throws what config.ts throws. */
  readonly endpoint: (key: string, text: string) => Endpoint;
}

function wrong(key: string, value: unknown, reason: string, wouldDo: string) {
  return failed({ key: `tls.acme.${key}`, value, reason, wouldDo });
}

/** The section with the environment over it; null when nothing of it is given. */
export function acmeConfig(input: AcmeConfigInput): Result<AcmeNodeConfig | null, AcmeConfigError> {
  const given = overlay(input);
  if (Object.values(given).every((value) => value === undefined)) return ok(null);
  const { directory, challenge = 'http-01' } = given;
  const url = directory === undefined || !URL.canParse(directory) ? null : new URL(directory);
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.hash !== '') {
    const wouldDo = 'The https address of the directory your CA names for ACME would do.';
    return wrong('directory', directory ?? '', 'it is not the https address of an ACME directory', wouldDo);
  }
  if (input.ownCertificate) {
    const reason = 'tls.cert names a certificate already';
    return wrong('directory', directory, reason, 'Leave out either tls.cert and tls.key, or [tls.acme].');
  }
  if (!CHALLENGES.includes(challenge)) {
    return wrong(
      'challenge',
      challenge,
      'there is no such challenge',
      `${CHALLENGES.join(' or ')} would do.`,
    );
  }
  if (given.agreeToTerms === null) {
    return wrong(
      'agreeToTerms',
      input.env.CMAIL_TLS_ACME_AGREE_TO_TERMS,
      'it is neither',
      'true or false would do.',
    );
  }
  const names = checkNames(given.names ?? [input.hostname]);
  if (!names.ok) return names;
  for (const address of given.contact ?? []) {
    const parsed = parseAddress(address);
    if (!parsed.ok || parsed.value.domain.startsWith('['))
      return wrong('contact', address, 'it is not a mail address', '"postmaster@example.com" would do.');
  }
  const port = challenge === 'http-01' ? 80 : 443;
  if (given.listen === undefined || given.listen.length === 0) {
    const reason = `the CA connects to port ${port} of each name, and somebody must answer there`;
    const wouldDo = `["0.0.0.0:${port}", "[::]:${port}"] would do, or another port that a router or proxy forwards to.`;
    return wrong('listen', given.listen ?? [], reason, wouldDo);
  }
  const externalAccount = checkExternalAccount(given);
  if (!externalAccount.ok) return externalAccount;
  return ok({
    directory: url.href,
    agreeToTerms: given.agreeToTerms ?? false,
    contact: given.contact ?? [],
    names: names.value,
    challenge,
    listen: given.listen.map((text) => input.endpoint('tls.acme.listen', text)),
    caFile: given.caFile ?? null,
    externalAccount: externalAccount.value,
  });
}

interface Given extends Omit<AcmeFileConfig, 'challenge' | 'agreeToTerms'> {
  /** Null: neither true nor false. */
  readonly agreeToTerms?: boolean | null;
  readonly challenge?: ChallengeType;
  readonly eabKey?: string;
}

/** The environment over the file, paths made absolute; set but empty counts as not given. */
function overlay({ env, fromFile = {}, fromFileFolder, fromCurrentFolder }: AcmeConfigInput): Given {
  const text = (name: string): string | undefined => env[`CMAIL_TLS_ACME_${name}`] || undefined;
  const list = (name: string): string[] | undefined =>
    text(name)
      ?.split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
  const path = (name: string, entry: string | undefined): string | undefined => {
    const fromEnv = text(name);
    if (fromEnv !== undefined) return fromCurrentFolder(fromEnv);
    return entry === undefined || entry === '' ? undefined : fromFileFolder(entry);
  };
  const agreed = text('AGREE_TO_TERMS');
  return {
    directory: text('DIRECTORY') ?? fromFile.directory,
    agreeToTerms: agreed === undefined ? fromFile.agreeToTerms : readBoolean(agreed),
    contact: list('CONTACT') ?? fromFile.contact,
    names: list('NAMES') ?? fromFile.names,
    challenge: (text('CHALLENGE') as ChallengeType | undefined) ?? fromFile.challenge,
    listen: list('LISTEN') ?? fromFile.listen,
    caFile: path('CA_FILE', fromFile.caFile),
    eabKid: text('EAB_KID') ?? fromFile.eabKid,
    eabKeyFile: path('EAB_KEY_FILE', fromFile.eabKeyFile),
    eabKey: text('EAB_KEY'),
  };
}

function readBoolean(text: string): boolean | null {
  if (text === 'true' || text === 'on') return true;
  return text === 'false' || text === 'off' ? false : null;
}

function checkNames(names: readonly string[]): Result<readonly string[], AcmeConfigError> {
  const canonical: string[] = [];
  for (const name of names) {
    if (name.startsWith('*.')) {
      const reason = 'a name with * needs a challenge in DNS, which CMail does not do';
      return wrong('names', name, reason, 'Name each host.');
    }
    const one = canonicalDomain(name);
    if (one === undefined)
      return wrong('names', name, 'it is not a host name', '"mail.example.com" would do.');
    canonical.push(one);
  }
  if (canonical.length === 0)
    return wrong('names', [], 'it is empty', 'Leave it out for the hostname alone.');
  return ok([...new Set(canonical)]);
}

function checkExternalAccount(given: Given): Result<AcmeNodeConfig['externalAccount'], AcmeConfigError> {
  const { eabKid: kid, eabKeyFile: file, eabKey: text } = given;
  const key = text !== undefined ? { text } : file !== undefined ? { file } : null;
  if (kid === undefined && key === null) return ok(null);
  if (kid === undefined || kid === '') {
    return wrong(
      'eabKid',
      '',
      'its key is given',
      'Enter the key identifier your CA gave you, or leave both out.',
    );
  }
  if (key === null) {
    const wouldDo = 'Name the file that holds the key your CA gave you, or leave both out.';
    return wrong('eabKeyFile', '', 'the key identifier is given', wouldDo);
  }
  return ok({ kid, key });
}
