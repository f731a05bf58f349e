/** What the CA says when it refuses: problem documents (RFC 7807, RFC 8555 §6.7) in words, with what to do. */
import { z } from 'zod';
import { type AcmeFailure, type AcmeFailureKind, acmeFailure } from './contract.ts';
import type { AcmeAnswer } from './transport.ts';

const PREFIX = 'urn:ietf:params:acme:error:';
const MAX_TEXT = 500;
const MAX_SUBPROBLEMS = 5;
const HOUR_MS = 3_600_000;

const identifier = z.object({ value: z.string() });
const subproblem = z.object({
  type: z.string().optional(),
  detail: z.string().optional(),
  identifier: identifier.optional(),
});
export const problemSchema = z.object({
  type: z.string().optional(),
  detail: z.string().optional(),
  subproblems: z.array(subproblem).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** Text of a stranger for our log and page: one line, bounded. */
export function plain(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim();
  return line.length > MAX_TEXT ? `${line.slice(0, MAX_TEXT)}…` : line;
}

/** The type without its prefix, such as `badNonce`. */
export function problemType(problem: Problem): string | null {
  return problem.type?.startsWith(PREFIX) ? problem.type.slice(PREFIX.length) : null;
}

/** A problem in one line: its type, its detail and the first of its subproblems. */
export function problemText(problem: Problem): string {
  const parts = [
    `${problemType(problem) ?? problem.type ?? 'no type'}: ${plain(problem.detail ?? 'no detail')}`,
  ];
  for (const { identifier: of, detail, type } of (problem.subproblems ?? []).slice(0, MAX_SUBPROBLEMS)) {
    parts.push(`${plain(of?.value ?? '')} ${plain(detail ?? type ?? '')}`.trim());
  }
  return plain(parts.join('; '));
}

/** What an answer is about when it is a problem document; undefined when it is something else. */
export function readProblem(answer: AcmeAnswer): Problem | undefined {
  try {
    const parsed = problemSchema.safeParse(JSON.parse(answer.body.toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    // A proxy's error page, say: the status alone has to do.
    return undefined;
  }
}

/** Retry-After in ms from now, seconds or a date (RFC 9110 §10.2.3); null without a readable one. */
export function retryAfterMs(answer: AcmeAnswer, nowMs: number): number | null {
  const value = answer.headers['retry-after']?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

interface Meaning {
  readonly kind: AcmeFailureKind;
  readonly mend: string;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  rateLimited: {
    kind: 'rate-limited',
    mend: 'Nothing to do at once: the next attempt waits as long as the CA asks. If it comes back, ask for fewer names or look for another machine that asks for the same ones.',
  },
  accountDoesNotExist: {
    kind: 'account',
    mend: 'A new account is registered at the next attempt.',
  },
  unauthorized: {
    kind: 'account',
    mend: 'The CA has deactivated the account or does not allow it these names. Ask the CA; to begin with a new account, stop the server and remove the account-*.json file of the acme folder in the data folder.',
  },
  externalAccountRequired: {
    kind: 'external-account',
    mend: 'Enter the key identifier and key your CA gave you as tls.acme.eabKid and tls.acme.eabKeyFile.',
  },
  userActionRequired: {
    kind: 'terms',
    mend: 'The CA wants something done by hand, such as agreeing to new terms: follow the address it names.',
  },
  rejectedIdentifier: {
    kind: 'refused',
    mend: 'The CA issues no certificate for this name: correct tls.acme.names or use another CA.',
  },
  caa: {
    kind: 'refused',
    mend: 'A CAA record in DNS forbids this CA to issue for the name: add the CA to it.',
  },
  invalidContact: { kind: 'refused', mend: 'Correct tls.acme.contact.' },
  unsupportedContact: { kind: 'refused', mend: 'Correct tls.acme.contact.' },
};

/** Said of validations too, where the account is not at fault. */
const VALIDATION: Readonly<Record<string, string>> = {
  dns: 'The CA finds no address for the name in public DNS: correct its A and AAAA records.',
  connection:
    'The CA cannot connect: let its connections through to the address in tls.acme.listen (firewall, port forwarding), for every A and AAAA record of the name.',
  tls: 'Another TLS server answers on port 443 of the name: forward the connections to the address in tls.acme.listen.',
  incorrectResponse:
    'Something else answers for the name (another web server, or an old address in DNS): forward the challenge to the address in tls.acme.listen.',
  caa: MEANINGS.caa?.mend ?? '',
};

/** What some CAs call an answer that is not the one expected. */
const OTHER_NAMES: Readonly<Record<string, string>> = { unauthorized: 'incorrectResponse' };

/** What to do about a failed validation, from the problem's type. */
export function validationMend(problem: Problem): string {
  const type = problemType(problem) ?? '';
  return (
    VALIDATION[OTHER_NAMES[type] ?? type] ??
    'Check that the name leads to this machine and that the CA reaches the address in tls.acme.listen.'
  );
}

/** The failure an answer of 4xx or 5xx stands for. `what` says what was asked, such as `the new order`. */
export function refusal(answer: AcmeAnswer, what: string, nowMs: number): AcmeFailure {
  const problem = readProblem(answer);
  const type = problem === undefined ? null : problemType(problem);
  const wait = retryAfterMs(answer, nowMs);
  const limited = answer.status === 429;
  const known = MEANINGS[limited ? 'rateLimited' : (type ?? '')];
  const words =
    problem === undefined ? `status ${answer.status}` : `${answer.status} ${problemText(problem)}`;
  const link = type === 'userActionRequired' ? termsLink(answer) : '';
  const busy = answer.status >= 500;
  return acmeFailure(
    known?.kind ?? (busy ? 'unreachable' : 'refused'),
    `The CA refused ${what}: ${words}${link}`,
    known?.mend ??
      (busy
        ? 'The CA has trouble of its own; nothing to do but to wait for the next attempt.'
        : 'Read the words of the CA; they say what it did not like.'),
    { problem: type, retryAfterMs: wait ?? (known?.kind === 'rate-limited' ? HOUR_MS : null) },
  );
}

function termsLink(answer: AcmeAnswer): string {
  const link = [answer.headers.link ?? []].flat().join(', ');
  const target = /<([^>]+)>\s*;\s*rel="?terms-of-service"?/.exec(link)?.[1];
  return target === undefined ? '' : ` (${plain(target)})`;
}
