/**
 * What holds for those who signed in (RFC 6409): the sender is an address of theirs, the message is complete, and one
 * account does not send more than it may, so that a stolen password does little harm.
 */
import { type Directory, findUser } from '../directory/directory.ts';
import type { Address } from '../mail/address.ts';
import { type Reply, reply } from '../mail/reply.ts';
import type { CurrentSettings } from '../settings/values.ts';
import { type SendingCounts, SubmissionCounts } from './submission-counts.ts';

/** An account that signed in. */
export interface Submitter {
  readonly accountId: number;
  readonly address: string;
}

/** Aliases that lead to aliases are followed so far. */
const MAX_ALIAS_DEPTH = 10;
/** Addresses looked at to find out whether one leads to an account. */
const MAX_ADDRESSES = 1_000;
const UNREADABLE = reply(451, '4.3.0', 'The directory of users cannot be read now; please try again later');

export class Submission {
  readonly #directory: Directory;
  readonly #settings: CurrentSettings;
  readonly #counts: SubmissionCounts;
  readonly #now: () => number;

  constructor(directory: Directory, settings: CurrentSettings, now: () => number = Date.now) {
    this.#directory = directory;
    this.#settings = settings;
    this.#counts = new SubmissionCounts(now);
    this.#now = now;
  }

  /** Why this account may not begin a message from `sender` now; null when it may. The null sender is anybody's. */
  async refuseSender(submitter: Submitter, sender: Address | null): Promise<Reply | null> {
    const limited = this.#limited(submitter);
    if (limited !== null) return limited;
    const { anySender } = this.#settings().submission;
    if (sender === null || anySender.includes(submitter.address.toLowerCase())) return null;
    try {
      if (await this.#belongs(sender.text, submitter)) return null;
    } catch {
      return UNREADABLE;
    }
    const text = `<${sender.text}> is not an address of ${submitter.address}: send from one of its own addresses or aliases`;
    return reply(550, '5.7.1', text);
  }

  refuseRecipient({ address }: Submitter, accepted: number): Reply | null {
    const { recipientsPerMessage: limit } = this.#settings().submission;
    if (limit === 0 || accepted < limit) return null;
    return reply(452, '4.5.3', `${address} may name ${limit} recipients in one message; send it in parts`);
  }

  /** A message of this account was accepted. */
  count({ accountId }: Submitter): void {
    this.#counts.add(accountId);
  }

  /** Accounts that met a limit within the last hour, for `status`. */
  alarms(): readonly string[] {
    return this.#counts
      .limited()
      .map(
        ({ address, limit, at }) =>
          `${address} may send no more for now: ${limit} (last refused at ${new Date(at).toISOString()}). See "cmail account sign-ins ${address}"; if that is not its owner, change the password, else raise submission.messagesPerHour or submission.messagesPerDay.`,
      );
  }

  #limited({ accountId, address }: Submitter): Reply | null {
    const { messagesPerHour, messagesPerDay } = this.#settings().submission;
    const sent: SendingCounts = this.#counts.of(accountId);
    const [limit, freeAt] =
      messagesPerDay !== 0 && sent.day >= messagesPerDay
        ? [`${messagesPerDay} messages a day`, sent.dayFreeAt]
        : messagesPerHour !== 0 && sent.hour >= messagesPerHour
          ? [`${messagesPerHour} messages an hour`, sent.hourFreeAt]
          : [null, 0];
    if (limit === null) return null;
    this.#counts.noteLimited(accountId, address, limit);
    const minutes = Math.max(1, Math.ceil((freeAt - this.#now()) / 60_000));
    return reply(450, '4.7.1', `${address} may send ${limit}, and has; try again in ${minutes} minutes`);
  }

  /** Whether the directory leads from an address to the account: itself, an alias of it, or user+tag of either. */
  async #belongs(address: string, submitter: Submitter): Promise<boolean> {
    let next = [address];
    const seen = new Set<string>();
    for (let depth = 0; depth < MAX_ALIAS_DEPTH && next.length > 0; depth += 1) {
      const targets: string[] = [];
      for (const one of next) {
        const key = one.toLowerCase();
        if (seen.has(key) || seen.size >= MAX_ADDRESSES) continue;
        seen.add(key);
        const at = one.lastIndexOf('@');
        const domain = await this.#directory.domain(one.slice(at + 1));
        if (domain === null) continue;
        const found = await findUser(this.#directory, one.slice(0, at), domain);
        if (found.type === 'account' && found.account.id === submitter.accountId) return true;
        if (found.type === 'alias') targets.push(...found.alias.targets);
      }
      next = targets;
    }
    return false;
  }
}
