import { openDataFolder } from '../src/server/data-folder.ts';
import type { MessageQuery } from '../src/storage/search-contract.ts';
import { openSqliteStorage } from '../src/storage/sqlite/index.ts';

const AT_ONCE = 512;
const WAITING_EVERY = 50;
const WORDS = [
  'invoice',
  'meeting',
  'report',
  'offer',
  'order',
  'holiday',
  'minutes',
  'reminder',
  'photo',
  'lunch',
];

const [path, countText = '1000000'] = process.argv.slice(2);
const count = Number(countText);
if (path === undefined || !Number.isSafeInteger(count)) {
  throw new Error('generate-messages.ts DATA-FOLDER [COUNT]');
}
const folder = openDataFolder(path, 0);
if (!folder.ok) throw new Error(folder.failure.message);
const storage = await openSqliteStorage({ path: folder.value.databaseFile, takeOver: true });

async function mailbox(): Promise<number> {
  if ((await storage.domain('example.test')) === null) await storage.addDomain('example.test');
  const known = await storage.account('anna@example.test');
  return (
    known ??
    (await storage.addAccount({ address: 'anna@example.test', passwordHash: null, quotaBytes: null }))
  ).id;
}

async function put(n: number, accountId: number): Promise<void> {
  const subject = `${WORDS[n % 10]} ${WORDS[(n * 7 + 3) % 10]} number ${n}`;
  const body = storage.openWriter();
  const content = Buffer.from(`From: s\r\nSubject: ${subject}\r\n\r\nGenerated.\r\n`);
  while (!body.append(content)) await storage.drained();
  const waits = n % WAITING_EVERY === 0;
  const address = waits ? `user${n % 977}@dest${n % 20}.test` : 'anna@example.test';
  await storage.accept({
    id: storage.nextMessageId(),
    body,
    subject,
    sender: `sender${n % 5003}@from${n % 101}.test`,
    source: { kind: 'external', address: '192.0.2.1', helo: 'h', user: null, protocol: 'ESMTP' },
    smtputf8: false,
    eightBit: false,
    header: '',
    receivedAt: Date.now() - (count - n) * 1000,
    recipients: [
      waits
        ? {
            address,
            original: address,
            rule: 'external',
            to: { type: 'queue', destination: `dest${n % 20}.test`, notBefore: Date.now() + 86_400_000 },
          }
        : {
            address,
            original: address,
            rule: 'account',
            to: { type: 'local', delivery: { accountId, header: '' } },
          },
    ],
  });
}

async function timed(what: string, query: () => Promise<unknown>): Promise<void> {
  const times: number[] = [];
  for (let n = 0; n < 5; n++) {
    const startedAt = performance.now();
    await query();
    times.push(performance.now() - startedAt);
  }
  times.sort((a, b) => a - b);
  console.log(`${what}: ${times[2]?.toFixed(1)} ms (worst ${times[4]?.toFixed(1)})`);
}

const accountId = await mailbox();
const startedAt = performance.now();
for (let n = 0; n < count; n += AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - n) }, (_, k) => put(n + k, accountId)));
}
console.log(`${count} messages in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
await storage.searchable();
console.log(`searchable after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);

const find = (query: Omit<MessageQuery, 'limit'>) => () => storage.search({ ...query, limit: 100 });
await timed('newest first', find({}));
const { next } = await storage.search({ limit: 100 });
if (next !== null) await timed('second page', find({ after: next }));
await timed('sender, whole address', find({ sender: { prefix: 'sender17@from17.test' } }));
await timed('sender, a start that fits many', find({ sender: { prefix: 's' } }));
await timed('sender, a domain', find({ sender: { domain: 'from42.test' } }));
await timed('recipient, a start', find({ recipient: { prefix: 'user11' } }));
await timed('recipient, a domain with most mail', find({ recipient: { domain: 'example.test' } }));
await timed('two subject words', find({ words: ['invoice', 'offer'] }));
await timed('a rare word', find({ words: ['number', '777'] }));
await timed('words that never come together', find({ words: ['invoice', 'photo'] }));
await timed('state waiting', find({ state: 'waiting' }));
await timed('state failed (none)', find({ state: 'failed' }));
await timed(
  'waiting, by sender and word',
  find({ state: 'waiting', sender: { prefix: 'sender1' }, words: ['invoice'] }),
);
await timed(
  'a day in the middle',
  find({ since: Date.now() - 500_000_000, until: Date.now() - 400_000_000 }),
);
await timed('queue by destination', () => storage.queueDestinations({ offset: 0, limit: 100 }));
await timed("one destination's queue", () =>
  storage.queueOf({ destination: 'dest0.test', after: 0, limit: 100 }),
);
await timed('count of all', () => storage.countSelected({ all: true }, 'delete'));
await timed('top reasons', () => storage.topReasons(8));
await storage.close();
folder.value.release();
