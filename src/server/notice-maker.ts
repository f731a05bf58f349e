/** Notices are decided like any other mail, with CMail itself as the client. */
import { type Address, parseAddress } from '../mail/address.ts';
import type { MakeNotices } from '../notices/contract.ts';
import { createNoticeMaker } from '../notices/factory.ts';
import {
  type Decision,
  type DecisionDependencies,
  DIRECTORY_UNAVAILABLE,
  decide,
} from '../receiving/decision.ts';
import type { CurrentSettings } from '../settings/values.ts';
import { type Storage, StorageError } from '../storage/contract.ts';
import type { Log } from './log.ts';

const POSTMASTER: Address = { text: 'postmaster', localPart: 'postmaster', domain: '', utf8: false };

export interface NoticeMakerParts {
  readonly hostname: string;
  readonly storage: Storage;
  readonly settings: CurrentSettings;
  readonly decision: DecisionDependencies;
  readonly log: Log;
}

export function noticeMaker({ hostname, storage, settings, decision, log }: NoticeMakerParts): MakeNotices {
  /** Rejects when the directory cannot be read: the notice waits, and so does the failure it is about. */
  const decided = async (recipient: Address): Promise<Decision> => {
    const found = await decide(decision, {
      recipient,
      client: { kind: 'internal', address: null, user: null },
      sender: null,
      declaredSizeBytes: 0,
      settings: settings(),
      purpose: 'queue',
    });
    if (found.rule === DIRECTORY_UNAVAILABLE)
      throw new StorageError('unavailable', found.reply.lines.join(' '));
    return found;
  };
  return createNoticeMaker({
    store: storage,
    hostname,
    decide: async (address) => {
      const recipient = parseAddress(address);
      if (!recipient.ok) return null;
      const { reply, recipients } = await decided(recipient.value);
      return reply.code < 400 && recipients.length > 0 ? recipients : null;
    },
    postmaster: async () => (await decided(POSTMASTER)).recipients,
    log,
  });
}
