/** One certificate from the CA: order, authorizations, finalize, download (RFC 8555 §7.4, §7.5). */
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { failed, ok, type Result } from '../mail/failure.ts';
import { type AcmeConfig, type AcmeFailure, acmeFailure } from './contract.ts';
import type { AcmeFiles, StoredOrder } from './files.ts';
import { keyAuthorization } from './jws.ts';
import { plain, problemSchema, problemText, validationMend } from './problem.ts';
import type { ChallengeResponder, PendingChallenge, Visits } from './responder.ts';
import type { AcmeSession } from './session.ts';
import type { AcmeAnswer } from './transport.ts';
import { certificateRequest, type IssuedCertificate, newKey, readCertificate } from './x509.ts';

const TOKEN = /^[A-Za-z0-9_-]{1,256}$/;

const orderSchema = z.object({
  status: z.enum(['pending', 'ready', 'processing', 'valid', 'invalid']),
  authorizations: z.array(z.string()).max(1_000),
  finalize: z.string(),
  certificate: z.string().optional(),
  error: problemSchema.optional(),
});
type Order = z.infer<typeof orderSchema>;

const challengeSchema = z.object({
  type: z.string(),
  url: z.string(),
  token: z.string().optional(),
  status: z.string().optional(),
  error: problemSchema.optional(),
});
const authorizationSchema = z.object({
  status: z.enum(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  identifier: z.object({ type: z.string(), value: z.string() }),
  challenges: z.array(challengeSchema).max(100),
});
type Authorization = z.infer<typeof authorizationSchema>;

/** An answer with what it holds. */
interface Seen<T> {
  readonly value: T;
  readonly answer: AcmeAnswer;
}

export interface OrderInput {
  readonly session: AcmeSession;
  readonly config: AcmeConfig;
  readonly files: AcmeFiles;
  readonly responder: ChallengeResponder;
  /** The certificate of this CA to be replaced, by its ARI name; null when there is none. */
  readonly replaces: string | null;
}

/** Goes on with the order kept, or makes one, and brings it to its certificate. Nothing is installed yet. */
export async function obtainCertificate(input: OrderInput): Promise<Result<IssuedCertificate, AcmeFailure>> {
  const begun = await beginOrder(input);
  if (!begun.ok) return begun;
  const { stored, seen } = begun.value;
  const issued = await complete(input, stored, seen);
  // An order that failed for good is of no use; one that only takes its time is gone on with.
  const goOn =
    !issued.ok && ['unreachable', 'stopped', 'local', 'rate-limited'].includes(issued.failure.kind);
  if (!issued.ok && !goOn) {
    const dropped = await input.files.dropOrder();
    if (!dropped.ok) return dropped;
  }
  return issued;
}

async function complete(
  input: OrderInput,
  stored: StoredOrder,
  seen: Seen<Order>,
): Promise<Result<IssuedCertificate, AcmeFailure>> {
  const ready = await authorizeAll(input, stored, seen);
  if (!ready.ok) return ready;
  const valid = await finalize(input, stored, ready.value);
  if (!valid.ok) return valid;
  return download(input, stored, valid.value);
}

async function beginOrder(
  input: OrderInput,
): Promise<Result<{ readonly stored: StoredOrder; readonly seen: Seen<Order> }, AcmeFailure>> {
  const { files, config, session } = input;
  const kept = await files.order();
  if (!kept.ok) return kept;
  const old = kept.value;
  if (old !== null && old.directory === config.directory && sameNames(old.names, config.names)) {
    const seen = await session.postJson(orderAt(old.url), orderSchema);
    if (seen.ok && seen.value.value.status !== 'invalid') return ok({ stored: old, seen: seen.value });
    // Only a CA that does not know the order any more, or has closed it, is a reason for another one.
    if (!seen.ok && seen.failure.kind !== 'refused' && seen.failure.kind !== 'account') return seen;
  }
  return newOrder(input, await newKey());
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return [...one].sort().join(' ') === [...other].sort().join(' ');
}

function orderAt(url: string): { url: string; payload: ''; what: string } {
  return { url, payload: '', what: 'the order' };
}

async function newOrder(
  { session, config, files, replaces }: OrderInput,
  key: KeyObject,
): Promise<Result<{ readonly stored: StoredOrder; readonly seen: Seen<Order> }, AcmeFailure>> {
  const directory = await session.directory();
  if (!directory.ok) return directory;
  const identifiers = config.names.map((value) => ({ type: 'dns', value }));
  const ask = (payload: object) =>
    session.postJson({ url: directory.value.newOrder, payload, what: 'the new order' }, orderSchema);
  const mark = directory.value.renewalInfo === undefined ? null : replaces;
  let seen = await ask(mark === null ? { identifiers } : { identifiers, replaces: mark });
  // RFC 9773 §5: a CA may not want the `replaces`; the order is worth more than the mark.
  const about = seen.ok ? null : seen.failure.problem;
  if (mark !== null && (about === 'alreadyReplaced' || about === 'malformed')) {
    seen = await ask({ identifiers });
  }
  if (!seen.ok) return seen;
  const url = seen.value.answer.headers.location;
  if (url === undefined) {
    return failed(
      acmeFailure('bad-answer', 'The CA named no order address.', 'Tell the operator of the CA.'),
    );
  }
  const stored = { url, directory: config.directory, names: config.names, key };
  const saved = await files.saveOrder(stored);
  return saved.ok ? ok({ stored, seen: seen.value }) : saved;
}

/** Brings a pending order to `ready`, one name after the other. */
async function authorizeAll(
  input: OrderInput,
  stored: StoredOrder,
  seen: Seen<Order>,
): Promise<Result<Seen<Order>, AcmeFailure>> {
  if (seen.value.status !== 'pending') return ok(seen);
  for (const url of seen.value.authorizations) {
    const done = await authorize(input, url);
    if (!done.ok) return done;
  }
  const { session } = input;
  const first = await session.postJson(orderAt(stored.url), orderSchema);
  if (!first.ok) return first;
  const order = await session.poll(
    orderAt(stored.url),
    orderSchema,
    first.value,
    ({ status }) => status !== 'pending',
  );
  return order.ok ? ok({ value: order.value, answer: first.value.answer }) : order;
}

async function authorize(input: OrderInput, url: string): Promise<Result<void, AcmeFailure>> {
  const { session, config, responder } = input;
  const what = { url, payload: '', what: 'an authorization' } as const;
  const seen = await session.postJson(what, authorizationSchema);
  if (!seen.ok) return seen;
  const { status, identifier, challenges } = seen.value.value;
  const name = plain(identifier.value);
  if (status === 'valid') return ok(undefined);
  const challenge = challenges.find(({ type }) => type === config.challenge);
  if (challenge?.token === undefined || !TOKEN.test(challenge.token)) {
    const offered = plain(challenges.map(({ type }) => type).join(', ')) || 'nothing';
    const text = `For ${name} the CA does not offer ${config.challenge}, but ${offered}.`;
    return failed(acmeFailure('refused', text, 'Choose another tls.acme.challenge, or ask the CA.'));
  }
  const pending = {
    name: identifier.value.toLowerCase(),
    token: challenge.token,
    keyAuthorization: keyAuthorization(challenge.token, session.key),
  };
  const expecting = await responder.expect(pending);
  if (!expecting.ok) return expecting;
  let visits: Visits = { count: 0, lastFrom: null };
  let decided: Result<Authorization, AcmeFailure>;
  try {
    decided = await validate(input, what, challenge, seen.value);
  } finally {
    visits = responder.forget(pending);
  }
  if (!decided.ok) return decided;
  if (decided.value.status === 'valid') return ok(undefined);
  return failed(validationFailure(config, pending, decided.value, visits));
}

/** Tells the CA that the answer is there and waits for its verdict. */
async function validate(
  { session }: OrderInput,
  what: { readonly url: string; readonly payload: ''; readonly what: string },
  challenge: z.infer<typeof challengeSchema>,
  seen: Seen<Authorization>,
): Promise<Result<Authorization, AcmeFailure>> {
  if (seen.value.status === 'pending' && (challenge.status ?? 'pending') === 'pending') {
    const told = await session.post({ url: challenge.url, payload: {}, what: 'the challenge' });
    if (!told.ok) return told;
  }
  return session.poll(what, authorizationSchema, seen, ({ status }) => status !== 'pending');
}

function validationFailure(
  { challenge: type, listen }: AcmeConfig,
  { name, token }: PendingChallenge,
  { status, challenges }: Authorization,
  visits: Visits,
): AcmeFailure {
  const where =
    type === 'http-01'
      ? `http://${name}/.well-known/acme-challenge/${token}`
      : `port 443 of ${name} (acme-tls/1)`;
  const problem = challenges.find((challenge) => challenge.type === type)?.error;
  const said = problem === undefined ? `the authorization is ${status}` : problemText(problem);
  const here = listen.map(({ host, port }) => `${host} port ${port}`).join(', ');
  const seen =
    visits.count === 0
      ? `No request for it came to ${here}.`
      : `It was asked for here ${visits.count} times, the last time from ${visits.lastFrom}.`;
  const text = `The CA could not confirm ${name} at ${where}: ${said}. ${seen}`;
  return acmeFailure('validation', text, validationMend(problem ?? {}));
}

/** Hands in the request for the certificate and waits until it is issued. */
async function finalize(
  { session, config }: OrderInput,
  stored: StoredOrder,
  seen: Seen<Order>,
): Promise<Result<Order, AcmeFailure>> {
  let now = seen;
  if (now.value.status === 'ready') {
    const csr = certificateRequest(config.names, stored.key).toString('base64url');
    const post = { url: now.value.finalize, payload: { csr }, what: 'the certificate request' };
    const told = await session.postJson(post, orderSchema);
    if (!told.ok) return told;
    now = told.value;
  }
  const open = (status: string): boolean => status === 'processing' || status === 'ready';
  const order = await session.poll(orderAt(stored.url), orderSchema, now, ({ status }) => !open(status));
  if (!order.ok) return order;
  if (order.value.status === 'valid') return order;
  const why = order.value.error === undefined ? '' : `: ${problemText(order.value.error)}`;
  const text = `The CA closed the order as ${order.value.status}${why}.`;
  return failed(acmeFailure('refused', text, 'Read the words of the CA; they say what it did not like.'));
}

async function download(
  { session, config }: OrderInput,
  stored: StoredOrder,
  { certificate }: Order,
): Promise<Result<IssuedCertificate, AcmeFailure>> {
  if (certificate === undefined) {
    const text = 'The CA calls the order valid but names no certificate.';
    return failed(acmeFailure('bad-answer', text, 'Tell the operator of the CA.'));
  }
  const answer = await session.post({
    url: certificate,
    payload: '',
    what: 'the certificate',
    accept: 'application/pem-certificate-chain',
  });
  if (!answer.ok) return answer;
  const read = readCertificate(answer.value.body.toString('latin1'), stored.key, config.names);
  if (read.ok) return read;
  const text = `What the CA issued cannot be used: ${read.failure}.`;
  return failed(acmeFailure('bad-answer', text, 'The old certificate stays. Tell the operator of the CA.'));
}
