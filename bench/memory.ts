import { type CleanUp, type Cmail, startCmail } from '../test/support/cmail.ts';
import { greeted } from '../test/support/smtp-client.ts';
import { type Memory, memoryOf } from './machine.ts';

export const MEMORY_SESSIONS = 100;
export const MEMORY_MESSAGE_MEGABYTES = 25;
const RECIPIENT = { address: 'user@local.example', password: 'long enough' };
const LINE = `${'x'.repeat(76)}\r\n`;
const BLOCK = Buffer.from(LINE.repeat(Math.floor((64 * 1024) / LINE.length)));

export interface MemoryFigures {
  readonly before: Memory;
  readonly after: Memory;
  readonly seconds: number;
}

/** Resident memory of the server while a hundred sessions each send 25 MB at once, at Buffer Size 4. */
export async function measureMemory(t: CleanUp): Promise<MemoryFigures> {
  const server = await startCmail(t, {
    domains: ['local.example'],
    accounts: [RECIPIENT],
    settings: { 'smtp.bufferSize': '4' },
  });
  const before = await memoryOf(server.pid);
  const start = Date.now();
  await Promise.all(Array.from({ length: MEMORY_SESSIONS }, (_, index) => sendLarge(server, index)));
  const seconds = (Date.now() - start) / 1000;
  const after = await memoryOf(server.pid);
  await server.stop();
  return { before, after, seconds };
}

/** Each session comes from an address of its own, so that the limit of sessions per address is not what is met. */
async function sendLarge(server: Cmail, index: number): Promise<void> {
  const localAddress = `127.0.1.${index + 1}`;
  const client = await greeted({ ...server.listeners.smtp, localAddress, replyLimitMs: 300_000 });
  await client.expect(250, client.command('MAIL FROM:<sender@other.example>'));
  await client.expect(250, client.command(`RCPT TO:<${RECIPIENT.address}>`));
  await client.expect(354, client.command('DATA'));
  await client.write(`Subject: large ${index}\r\n\r\n`);
  const blocks = Math.ceil((MEMORY_MESSAGE_MEGABYTES * 1024 * 1024) / BLOCK.length);
  for (let block = 0; block < blocks; block += 1) await client.write(BLOCK);
  await client.write('.\r\n');
  await client.expect(250, client.reply());
  await client.quit();
}
