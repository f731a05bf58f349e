import { z } from 'zod';
import { MAX_PASSWORD_BYTES } from '../directory/password.ts';
import { canonicalDomain } from '../mail/address.ts';
import { parseIpAddress } from '../settings/networks.ts';
import { parseSize } from '../settings/text.ts';
import type { Account, Domain } from '../storage/contract.ts';
import { findAliasLoop, MAX_ALIAS_TARGETS, unknownTargets } from './alias-check.ts';
import { type AdminContext, OperationError } from './context.ts';
import { checkedForward } from './forward-check.ts';
import {
  addressArgument,
  type OperationTable,
  operation,
  pageArguments,
  pageOf,
  refusing,
} from './operation.ts';
import { accountSubject } from './second-factor.ts';

const name = z.string().min(1).max(1000);
const MIN_PASSWORD_CHARACTERS = 8;
const DEFAULT_SMTP_PORT = 25;

export const domainOperations: OperationTable = {
  'domain.add': operation(z.strictObject({ name }), async ({ storage }, args) => {
    const domain = domainArgument(args.name);
    await refusing(storage.addDomain(domain), { conflict: { message: `${domain} is hosted already` } });
    return { name: domain };
  }),

  'domain.get': operation(z.strictObject({ name }), ({ storage }, args) => hostedDomain(storage, args.name)),

  'domain.list': operation(z.strictObject(pageArguments), async ({ storage }, page) =>
    pageOf(await storage.listDomains(), (domain) => domain.name, page),
  ),

  'domain.remove': operation(z.strictObject({ name }), async ({ storage }, args) => {
    const domain = await hostedDomain(storage, args.name);
    await refusing(storage.removeDomain(domain.name), {
      conflict: {
        message: `${domain.name} still has accounts or aliases`,
        mend: 'Remove them first; "cmail account list" and "cmail alias list" show them.',
      },
    });
    return { name: domain.name };
  }),

  'domain.forward': operation(z.strictObject({ name, to: name }), async (context, args) => {
    const domain = await hostedDomain(context.storage, args.name);
    const forward = await forwardArgument(context, args.to);
    await context.storage.setForward(domain.name, forward);
    context.wakeSender();
    return { name: domain.name, forward };
  }),

  'domain.catchAll': operation(
    z.strictObject({ name, address: name }),
    async ({ storage, wakeSender }, args) => {
      const domain = await hostedDomain(storage, args.name);
      const catchAll = args.address === 'none' ? null : addressArgument(args.address);
      await storage.setCatchAll(domain.name, catchAll);
      wakeSender();
      return { name: domain.name, catchAll };
    },
  ),
};

const password = z.string().max(10_000);
const quota = z.string().max(100);

export const accountOperations: OperationTable = {
  'account.add': operation(
    z.strictObject({ address: name, password, quota: quota.optional() }),
    async (context, args) => {
      const { storage } = context;
      const address = addressArgument(args.address);
      const domain = address.slice(address.lastIndexOf('@') + 1);
      await hostedDomain(storage, domain);
      const quotaBytes = args.quota === undefined ? null : quotaArgument(args.quota);
      await refuseTaken(context, address);
      const passwordHash = await hashed(context, args.password);
      const account = await refusing(storage.addAccount({ address, passwordHash, quotaBytes }), {
        conflict: { message: `${address} exists already` },
      });
      context.wakeSender();
      return { ...accountJson(account), secondFactor: false };
    },
  ),

  'account.list': operation(
    z.strictObject({ ...pageArguments, domain: name.optional() }),
    async ({ storage }, { domain, ...page }) => {
      const { rows, next } = pageOf(
        await storage.listAccounts(domain && domainArgument(domain)),
        addressOf,
        page,
      );
      const on = new Set(await storage.secondFactorNames('account'));
      const withFactor = (one: Account) => ({
        ...accountJson(one),
        secondFactor: on.has(accountSubject(one.address).name),
      });
      return { rows: rows.map(withFactor), next };
    },
  ),

  'account.get': operation(z.strictObject({ address: name }), async ({ storage, secondFactors }, args) => {
    const account = await existingAccount(storage, args.address);
    const { on } = await secondFactors.state(accountSubject(account.address));
    return { ...accountJson(account), secondFactor: on };
  }),

  'account.remove': operation(z.strictObject({ address: name }), async ({ storage, wakeSender }, args) => {
    const account = await existingAccount(storage, args.address);
    await refusing(storage.removeAccount(account.address), {
      conflict: {
        message: `${account.address} is the server's postmaster`,
        mend: 'Move that first with "cmail account postmaster OTHER-ADDRESS".',
      },
    });
    wakeSender();
    return { address: account.address };
  }),

  'account.password': operation(z.strictObject({ address: name, password }), async (context, args) => {
    const account = await existingAccount(context.storage, args.address);
    await context.storage.setPassword(account.address, await hashed(context, args.password));
    return { address: account.address };
  }),

  'account.enable': operation(z.strictObject({ address: name }), (context, args) =>
    setEnabled(context, args.address, true),
  ),

  'account.disable': operation(z.strictObject({ address: name }), (context, args) =>
    setEnabled(context, args.address, false),
  ),

  'account.quota': operation(z.strictObject({ address: name, quota }), async ({ storage }, args) => {
    const account = await existingAccount(storage, args.address);
    const quotaBytes = quotaArgument(args.quota);
    await storage.setQuota(account.address, quotaBytes);
    return { address: account.address, quotaBytes };
  }),

  /** null: mail stays in the mailbox. */
  'account.forward': operation(
    z.strictObject({
      address: name,
      forward: z.strictObject({ targets: z.array(name).min(1).max(100), keep: z.boolean() }).nullable(),
    }),
    async ({ storage, settings, wakeSender }, args) => {
      const account = await existingAccount(storage, args.address);
      const forward =
        args.forward === null
          ? null
          : await checkedForward(storage, settings.current(), account, args.forward);
      await storage.setAccountForward(account.address, forward);
      wakeSender();
      return { address: account.address, forward };
    },
  ),

  'account.postmaster': operation(z.strictObject({ address: name }), async ({ storage }, args) => {
    const account = await existingAccount(storage, args.address);
    await storage.movePostmaster(account.address);
    return { address: account.address };
  }),
};

export const aliasOperations: OperationTable = {
  'alias.add': operation(
    z.strictObject({ address: name, targets: z.array(name).min(1).max(MAX_ALIAS_TARGETS) }),
    async (context, args) => {
      const { storage } = context;
      const address = addressArgument(args.address);
      await hostedDomain(storage, address.slice(address.lastIndexOf('@') + 1));
      await refuseTaken(context, address);
      const targets = await aliasTargets(storage, address, args.targets);
      await refusing(storage.addAlias({ address, targets }), {
        conflict: { message: `${address} exists already` },
      });
      context.wakeSender();
      return { address, targets, unknown: await unknownTargets(storage, targets) };
    },
  ),

  /** Puts other targets in place of those an alias has. */
  'alias.set': operation(
    z.strictObject({ address: name, targets: z.array(name).min(1).max(MAX_ALIAS_TARGETS) }),
    async (context, args) => {
      const { storage } = context;
      const address = addressArgument(args.address);
      const before = await storage.entry(address);
      if (before?.type !== 'alias') throw noAlias(address);
      const targets = await aliasTargets(storage, address, args.targets);
      // Asked together, they are committed together: nobody finds the alias gone.
      await Promise.all([
        storage.removeAlias(address),
        storage.addAlias({ address: before.alias.address, targets }),
      ]);
      context.wakeSender();
      return { address, targets, unknown: await unknownTargets(storage, targets) };
    },
  ),

  'alias.list': operation(
    z.strictObject({ ...pageArguments, domain: name.optional() }),
    async ({ storage }, { domain, ...page }) =>
      pageOf(await storage.listAliases(domain && domainArgument(domain)), addressOf, page),
  ),

  'alias.remove': operation(z.strictObject({ address: name }), async ({ storage, wakeSender }, args) => {
    const address = addressArgument(args.address);
    await refusing(storage.removeAlias(address), {
      'not-found': { message: `there is no alias ${address}`, mend: 'See "cmail alias list".' },
    });
    wakeSender();
    return { address };
  }),
};

function noAlias(address: string): OperationError {
  return new OperationError(`there is no alias ${address}`, 'See "cmail alias list".', 1, {
    kind: 'not-found',
  });
}

async function aliasTargets(
  storage: AdminContext['storage'],
  address: string,
  texts: readonly string[],
): Promise<readonly string[]> {
  const targets = [...new Set(texts.map(addressArgument))];
  const loop = await findAliasLoop(storage, address, targets);
  if (loop) throw new OperationError(`${address} would lead back to itself through ${loop.join(' → ')}`);
  return targets;
}

function domainArgument(text: string): string {
  const domain = /[\s@:/]/.test(text) ? undefined : canonicalDomain(text);
  if (domain === undefined || domain === '') {
    throw new OperationError(`${text} is not a domain name`, 'Write it as example.com.');
  }
  return domain;
}

async function hostedDomain(storage: AdminContext['storage'], text: string): Promise<Domain> {
  const domain = domainArgument(text);
  const found = await storage.domain(domain);
  if (found) return found;
  throw new OperationError(
    `${domain} is not a hosted domain`,
    `Add it with "cmail domain add ${domain}".`,
    1,
    {
      kind: 'not-found',
    },
  );
}

/** The account of an address; one that is not there is refused as not found. */
export async function existingAccount(storage: AdminContext['storage'], text: string): Promise<Account> {
  const address = addressArgument(text);
  const account = await storage.account(address);
  if (account) return account;
  throw new OperationError(`there is no account ${address}`, 'See "cmail account list".', 1, {
    kind: 'not-found',
  });
}

async function refuseTaken({ storage }: AdminContext, address: string): Promise<void> {
  const entry = await storage.entry(address);
  if (entry === null) return;
  throw new OperationError(`${address} exists already, as an ${entry.type}`, undefined, 1, {
    kind: 'conflict',
  });
}

async function forwardArgument(context: AdminContext, text: string): Promise<Domain['forward']> {
  if (text === 'none') return null;
  if (text.includes('@')) return { address: addressArgument(text) };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([0-9]{1,5}))?$/.exec(text);
  const hostText = match?.[1] ?? match?.[2] ?? text;
  const address = parseIpAddress(hostText);
  const host = address.ok
    ? address.value
    : /[\s/:[\]]/.test(hostText)
      ? undefined
      : canonicalDomain(hostText);
  const port = match?.[3] === undefined ? DEFAULT_SMTP_PORT : Number(match[3]);
  if (host === undefined || host === '' || port < 1 || port > 65_535) {
    throw new OperationError(
      `${text} is neither a host, an address nor none`,
      'Write it as mail.example.com, mail.example.com:2525, [2001:db8::1]:25, user@example.com or none.',
    );
  }
  if (await context.isOwnHost(host, port)) {
    throw new OperationError(
      `${host}:${port} is this server, so mail would go round in a circle`,
      'Name the server that has the mailboxes of the domain.',
    );
  }
  return { host, port };
}

async function setEnabled({ storage, wakeSender }: AdminContext, text: string, enabled: boolean) {
  const account = await existingAccount(storage, text);
  await storage.setEnabled(account.address, enabled);
  wakeSender();
  return { address: account.address, enabled };
}

async function hashed(context: AdminContext, plain: string): Promise<string> {
  if ([...plain].length < MIN_PASSWORD_CHARACTERS) {
    throw new OperationError(
      `the password has fewer than ${MIN_PASSWORD_CHARACTERS} characters`,
      `Choose one with at least ${MIN_PASSWORD_CHARACTERS}.`,
    );
  }
  if (Buffer.byteLength(plain) > MAX_PASSWORD_BYTES || /[\0\r\n]/.test(plain)) {
    throw new OperationError(
      `the password is longer than ${MAX_PASSWORD_BYTES} bytes or more than one line`,
      'Choose a shorter one, in one line.',
    );
  }
  return context.hashPassword(plain);
}

function quotaArgument(text: string): number | null {
  if (text === 'none') return null;
  const size = parseSize(text);
  if (size.ok && size.value > 0) return size.value;
  const reason = size.ok ? 'it is not above 0' : size.reason;
  throw new OperationError(`${text} is not a quota: ${reason}`, 'Write it as 500MB, 2GB or none.');
}

function addressOf(row: { readonly address: string }): string {
  return row.address;
}

export function accountJson(account: Account) {
  const { address, enabled, quotaBytes, usedBytes, isPostmaster, forward } = account;
  return {
    address,
    enabled,
    quotaBytes,
    usedBytes,
    isPostmaster,
    forward,
    createdAt: new Date(account.createdAt).toISOString(),
  };
}
