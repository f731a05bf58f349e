/**
 * Durable accept through the storage contract: 10 KB messages for one local account.
 *   sh scripts/node.sh bench/storage-accept.ts [--concurrency 50] [--seconds 5] [--size 10240] [--page 16384] [--queue]
 *     [--store postgres://user:password@host/database]   an empty database of its own instead of SQLite
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { NewRecipient } from '../src/storage/contract.ts';
import { openPostgresStorage } from '../src/storage/postgres/index.ts';
import { openSqliteStorage } from '../src/storage/sqlite/index.ts';

const { values } = parseArgs({
  options: {
    concurrency: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '5' },
    size: { type: 'string', default: '10240' },
    page: { type: 'string' },
    queue: { type: 'boolean', default: false },
    folder: { type: 'string', default: tmpdir() },
    store: { type: 'string' },
  },
});

const HEADER = `Received: from client.example.org (client.example.org [192.0.2.1])\r\n\tby mail.example.com with ESMTP id 000ABC;\r\n\tSun, 22 Nov 2026 22:00:00 +0000\r\n`;
const folder = await mkdtemp(join(values.folder, 'cmail-bench-'));
const storage =
  values.store === undefined
    ? await openSqliteStorage({
        path: join(folder, 'cmail.db'),
        ...(values.page === undefined ? {} : { pageSizeBytes: Number(values.page) }),
      })
    : await openPostgresStorage({ url: values.store });
try {
  await storage.addDomain('example.com');
  const account = await storage.addAccount({
    address: 'a@example.com',
    passwordHash: null,
    quotaBytes: null,
  });
  const to: NewRecipient['to'] = values.queue
    ? { type: 'queue', destination: 'example.net' }
    : { type: 'local', delivery: { accountId: account.id, header: 'Return-Path: <s@example.org>\r\n' } };
  const piece = Buffer.alloc(4096, 'x');
  const sizeBytes = Number(values.size);
  const end = performance.now() + Number(values.seconds) * 1000;
  let accepted = 0;
  const acceptOne = async () => {
    const body = storage.openWriter();
    for (let left = sizeBytes; left > 0; left -= piece.byteLength) {
      while (!body.append(left < piece.byteLength ? piece.subarray(0, left) : piece)) await storage.drained();
    }
    await storage.accept({
      id: storage.nextMessageId(),
      body,
      sender: 's@example.org',
      source: {
        kind: 'external',
        address: '192.0.2.1',
        helo: 'client.example.org',
        user: null,
        protocol: 'ESMTP',
      },
      smtputf8: false,
      eightBit: false,
      header: HEADER,
      receivedAt: Date.now(),
      recipients: [{ address: 'a@example.com', original: 'a@example.com', rule: 'account', to }],
    });
    accepted++;
  };
  const acceptor = async () => {
    while (performance.now() < end) await acceptOne();
  };
  const start = performance.now();
  const before = process.resourceUsage();
  await Promise.all(Array.from({ length: Number(values.concurrency) }, acceptor));
  const seconds = (performance.now() - start) / 1000;
  const rate = Math.round(accepted / seconds);
  // Does not depend on what else the machine does: blocks of 512 bytes, and CPU time of all threads.
  const after = process.resourceUsage();
  const written = ((after.fsWrite - before.fsWrite) * 512) / accepted / sizeBytes;
  // A database writes in processes of its own.
  const writing = values.store === undefined ? `${written.toFixed(2)} × their size written, ` : '';
  const cpuUs =
    (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / accepted;
  console.log(
    `${accepted} messages of ${sizeBytes} bytes in ${seconds.toFixed(2)} s: ${rate} messages/s, ` +
      `${writing}${cpuUs.toFixed(0)} µs of CPU each`,
  );
} finally {
  await storage.close();
  await rm(folder, { recursive: true, force: true });
}
