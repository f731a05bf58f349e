/**
 * Preloaded into a server under test (`NODE_OPTIONS=--import=…`): messages from poison@… carry data that makes
 * the code that sends them throw, those from killer@… end the process, as a fault in native code would.
 */
import type { Claim } from '../../src/storage/contract.ts';
import { SqliteStorage } from '../../src/storage/sqlite/engine.ts';

const claimDue = SqliteStorage.prototype.claimDue;

SqliteStorage.prototype.claimDue = async function poisoned(this: SqliteStorage, request) {
  const claims = await claimDue.call(this, request);
  for (const { message } of claims) {
    if (message.sender.startsWith('poison@')) Object.defineProperty(message, 'header', { get: fail });
    if (message.sender.startsWith('killer@')) Object.defineProperty(message, 'header', { get: die });
  }
  return claims satisfies readonly Claim[];
};

function fail(): never {
  throw new TypeError('the poison acts');
}

function die(): string {
  process.kill(process.pid, 'SIGKILL');
  return '';
}
