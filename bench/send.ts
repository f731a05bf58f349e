/**
 * Sending: 2 KB messages held in the queue, released at once to one far server (`smtp-sink`, one address).
 *   sh scripts/node.sh bench/send.ts [--messages 5000] [--launcher OTHER/bin/cmail]
 * With `--launcher` another checkout's server takes turns with this one's, to see what a change costs.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { startCmail } from '../test/support/cmail.ts';
import { runChecked } from '../test/support/command.ts';
import { startDnsServer } from '../test/support/dns-server.ts';
import { freePort } from '../test/support/free-port.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '5000' },
    rounds: { type: 'string', default: '3' },
    launcher: { type: 'string' },
  },
});
const MESSAGES = Number(values.messages);
const FAR = '127.0.0.9';

interface QueueCounts {
  readonly queue: { readonly queued: number; readonly sending: number };
}

/** Messages a second from the release to an empty queue. */
async function sendAll(launcher: string | undefined): Promise<number> {
  const cleanUps: (() => Promise<void> | void)[] = [];
  const t = { after: (action: () => Promise<void> | void) => void cleanUps.push(action) };
  try {
    const port = await freePort(FAR);
    const sink = spawn('smtp-sink', ['-u', 'nobody', `${FAR}:${port}`, '1000'], { stdio: 'ignore' });
    t.after(() => void sink.kill());
    const dns = await startDnsServer({
      'far.example': ['300 MX 10 mx.example'],
      'mx.example': [`300 A ${FAR}`],
    });
    t.after(() => dns.close());
    const server = await startCmail(t, {
      config: { dns: { servers: [dns.address] } },
      settings: { 'smtp.mx.allowPrivateAddresses': 'on', 'smtp.outboundPort': String(port) },
      env: { CMAIL_LOG_LEVEL: 'error' },
      ...(launcher === undefined ? {} : { launcher }),
    });
    await server.run(['queue', 'hold', '--all']);
    const { host, port: smtp } = server.listeners.smtp;
    const envelope = ['-f', 'a@here.example', '-t', 'x@far.example'];
    await runChecked('smtp-source', [
      '-d',
      '-s',
      '20',
      '-l',
      '2048',
      '-m',
      String(MESSAGES),
      ...envelope,
      `${host}:${smtp}`,
    ]);
    const start = performance.now();
    await server.run(['queue', 'release', '--all']);
    await server.waitFor(
      'an empty queue',
      async () => {
        const { queue } = await server.json<QueueCounts>(['status']);
        return queue.queued + queue.sending === 0;
      },
      120_000,
    );
    return MESSAGES / ((performance.now() - start) / 1000);
  } finally {
    for (const action of cleanUps.reverse()) await action();
  }
}

for (let round = 1; round <= Number(values.rounds); round += 1) {
  const mine = await sendAll(undefined);
  if (values.launcher === undefined) {
    console.log(`round ${round}: ${Math.round(mine)} messages/s`);
    continue;
  }
  const other = await sendAll(values.launcher);
  console.log(
    `round ${round}: ${Math.round(mine)} messages/s, the other ${Math.round(other)}, ratio ${(mine / other).toFixed(2)}`,
  );
}
