/**
 * Preloaded into a server under test (`NODE_OPTIONS=--import=…`): messages from poison@… carry data that makes
 * the code that sends them throw, those from killer@… end the process, as a fault in native code would.
 */
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import type { Claim } from '../../src/storage/contract.ts';
import type { OperationStorage as Engines } from '../../src/storage/shared/operation-storage.ts';

if (isMainThread) await poison(process.argv[1] ?? '');

/** Changes the very module the server runs: the source beside a source, the built one beside a build. */
async function poison(main: string): Promise<void> {
  const extension = main.endsWith('.ts') ? '.ts' : '.js';
  // What all engines have in common, so that it acts on each.
  const shared = new URL(`../storage/shared/operation-storage${extension}`, pathToFileURL(main));
  const { OperationStorage } = (await import(shared.href)) as { OperationStorage: typeof Engines };
  const claimDue = OperationStorage.prototype.claimDue;
  OperationStorage.prototype.claimDue = async function poisoned(this: Engines, request) {
    const claims = await claimDue.call(this, request);
    for (const { message } of claims) {
      if (message.sender.startsWith('poison@')) Object.defineProperty(message, 'header', { get: fail });
      if (message.sender.startsWith('killer@')) Object.defineProperty(message, 'header', { get: die });
    }
    return claims satisfies readonly Claim[];
  };
}

function fail(): never {
  throw new TypeError('the poison acts');
}

function die(): string {
  process.kill(process.pid, 'SIGKILL');
  return '';
}
