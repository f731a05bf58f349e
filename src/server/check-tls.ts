/** The part of `check` that looks at the certificates this server shows its clients. */
import type { CheckFinding } from '../admin/context.ts';
import { error, fine, warning } from '../admin/finding.ts';
import { isLoopbackName } from '../settings/networks.ts';
import { issuedFile } from './acme-service.ts';
import { endpointText, type NodeConfig } from './config.ts';
import {
  type CertificateSources,
  type CertificateState,
  certificatesOnDisk,
  endWords,
  NEAR_END_MS,
  RENEW,
  SELF_SIGNED,
  selfSignedMend,
} from './tls-service.ts';

const DAY_MS = 86_400_000;

/** Without a server what is on disk; with one what it uses, and that it is what is on disk. And what is open in clear. */
export async function checkTls(
  config: NodeConfig,
  inUse: readonly CertificateState[] | null,
): Promise<readonly CheckFinding[]> {
  return [...(await checkCertificates(config, inUse)), ...checkAdminInClear(config)];
}

/** Passwords of administrators must not cross a network in clear. */
function checkAdminInClear({ admin }: NodeConfig): readonly CheckFinding[] {
  if (admin === null || isLoopbackName(admin.host)) return [];
  return [
    warning(
      'tls',
      `the admin listener ${endpointText(admin)} speaks HTTP in clear and is not on a loopback address`,
      'Without a proxy with TLS in front of it, passwords of administrators can be read on the network.',
      'Open listen.adminTls in cmail.toml for other machines, and listen.admin on 127.0.0.1 only.',
    ),
  ];
}

/** Where the certificates of a node come from. */
export function certificateSources(config: NodeConfig): CertificateSources {
  return { config: config.tls, dataFolder: config.data, issued: issuedFile(config) };
}

async function checkCertificates(
  config: NodeConfig,
  inUse: readonly CertificateState[] | null,
): Promise<readonly CheckFinding[]> {
  const onDisk = await certificatesOnDisk(certificateSources(config));
  if (!onDisk.ok) {
    // Before the first start there is nothing yet, and that is as it should be.
    if (inUse === null && config.tls.main === null && config.tls.extra.length === 0) {
      return [
        warning(
          'tls',
          'a self-signed certificate will be made at the first start',
          MEANING,
          selfSignedMend(config.acme !== null),
        ),
      ];
    }
    const meaning =
      inUse === null
        ? 'The server will not start.'
        : 'The running server goes on with the one it read before.';
    return [
      error('tls', onDisk.failure, meaning, 'Mend the file; a running server takes it over by itself.'),
    ];
  }
  return (inUse ?? onDisk.value).map((one) => judge(one, config));
}

const MEANING = 'Mail programs warn of it or refuse it.';

function judge(state: CertificateState, { hostname, acme }: NodeConfig): CheckFinding {
  const { file, names, validUntil, daysLeft, ownMade } = state;
  const end = endWords(state);
  if (end !== null && daysLeft < 0) return error('tls', end, 'Mail programs refuse to connect.', RENEW);
  if (end !== null) {
    const meaning = `Less than ${NEAR_END_MS / DAY_MS} days are left; then mail programs refuse to connect.`;
    return warning('tls', end, meaning, RENEW);
  }
  const mend = selfSignedMend(acme !== null);
  if (ownMade) return warning('tls', SELF_SIGNED, MEANING, mend);
  const text = `the certificate ${file} for ${names.join(', ')} is good until ${validUntil}`;
  if (state.selfSigned) return warning('tls', `${text}, but signed by itself`, MEANING, mend);
  if (names.length > 0 && !names.includes(hostname)) return fine('tls', `${text} (not for ${hostname})`);
  return fine('tls', text);
}
