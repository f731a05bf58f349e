/** The second factor of whoever signs in to the page: turned on and off by its owner, reset by an administrator. */
import { z } from 'zod';
import { verifyPassword } from '../directory/password.ts';
import type { FactorSubject } from '../storage/second-factor-contract.ts';
import { administratorName } from './access-operations.ts';
import { type AdminContext, OperationError } from './context.ts';
import { addressArgument, type OperationTable, operation } from './operation.ts';

const subject = z.strictObject({
  kind: z.enum(['administrator', 'account']),
  name: z.string().min(1).max(1000),
});
const password = z.string().max(10_000);
const code = z.string().max(100);

/** Counts like a wrong password at the sign-in. */
export class WrongCredentialError extends OperationError {
  constructor(what: 'password' | 'code') {
    const message = what === 'password' ? 'the present password is wrong' : 'the code is wrong';
    const mend =
      what === 'password'
        ? 'Enter it again.'
        : 'Enter the one that the app shows now; each works once. The clock of the phone must be right.';
    const problem = what === 'password' ? 'it is not the present password' : 'it is not the present code';
    super(message, mend, 1, { errors: [{ key: what, message: problem, wouldDo: '' }] });
  }
}

/** Callers see to it that the subject of all but `reset` is their own. */
export const factorOperations: OperationTable = {
  'secondFactor.state': operation(z.strictObject({ subject }), async ({ secondFactors }, args) => {
    const { since, ...state } = await secondFactors.state(canonical(args.subject));
    return { ...state, since: since === null ? null : new Date(since).toISOString() };
  }),

  'secondFactor.begin': operation(z.strictObject({ subject, password }), async (context, args) => {
    const who = canonical(args.subject);
    await checkPassword(context, who, args.password);
    const begun = await context.secondFactors.begin(who, `CMail ${context.hostname}`);
    if (begun !== null) return begun;
    throw new OperationError('the second factor is on already', 'Turn it off first.', 1, {
      kind: 'conflict',
    });
  }),

  'secondFactor.turnOn': operation(z.strictObject({ subject, code }), async (context, args) => {
    const recoveryCodes = await context.secondFactors.confirm(canonical(args.subject), args.code);
    if (recoveryCodes === null) throw new WrongCredentialError('code');
    return { recoveryCodes };
  }),

  'secondFactor.turnOff': operation(z.strictObject({ subject, password, code }), async (context, args) => {
    const who = canonical(args.subject);
    await checkPassword(context, who, args.password);
    const checked = await context.secondFactors.check(who, args.code);
    if (!checked.ok && checked.why === 'off') throw isOff(who);
    if (!checked.ok) throw new WrongCredentialError('code');
    await context.secondFactors.remove(who);
    return { name: who.name };
  }),

  'secondFactor.reset': operation(z.strictObject({ subject }), async (context, args) => {
    const who = canonical(args.subject);
    if (context.sessionId !== null && who.kind === 'administrator' && who.name === context.author) {
      throw new OperationError("one's own second factor is not reset", 'Turn it off with a code.');
    }
    if (!(await context.secondFactors.remove(who))) throw isOff(who);
    return { name: who.name };
  }),
};

async function checkPassword(context: AdminContext, who: FactorSubject, plain: string): Promise<void> {
  const hash = await passwordHashOf(context, who);
  if (hash === null || !(await verifyPassword(plain, hash))) throw new WrongCredentialError('password');
}

/** null without the subject, or without a password of its own. */
async function passwordHashOf(
  { storage }: AdminContext,
  { kind, name }: FactorSubject,
): Promise<string | null> {
  if (kind === 'administrator') return storage.administratorHash(name);
  const account = await storage.account(name);
  return account === null ? null : storage.passwordHash(account.id);
}

function canonical({ kind, name }: FactorSubject): FactorSubject {
  return {
    kind,
    name: kind === 'administrator' ? administratorName(name) : addressArgument(name).toLowerCase(),
  };
}

function isOff({ name }: FactorSubject): OperationError {
  return new OperationError(`the second factor of ${name} is not on`, undefined, 1, { kind: 'not-found' });
}
