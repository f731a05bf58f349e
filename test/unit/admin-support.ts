/** Administration operations on a real store in a temporary folder, with the outside made up. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import type { AdminContext, ExplainRequest } from '../../src/admin/context.ts';
import { OperationError } from '../../src/admin/context.ts';
import { operationFailure } from '../../src/admin/operation.ts';
import { runOperation } from '../../src/admin/operations.ts';
import { SecondFactors } from '../../src/admin/second-factor.ts';
import type { Connect, ConnectOptions } from '../../src/cli/connect.ts';
import { runCli } from '../../src/cli/run.ts';
import type { Resolver } from '../../src/dns/contract.ts';
import type { NoticeRequest } from '../../src/notices/contract.ts';
import { SettingsService } from '../../src/settings/service.ts';
import type { NewRecipient, Storage } from '../../src/storage/contract.ts';
import { openSqliteStorage } from '../../src/storage/sqlite/index.ts';
import { startDnsServer } from '../support/dns-server.ts';

export interface World {
  readonly folder: string;
  readonly storage: Storage;
  readonly context: AdminContext;
  readonly notices: NoticeRequest[];
  readonly explained: ExplainRequest[];
  wakes: number;
}

const resolver: Resolver = {
  mx: async (name) =>
    name === 'example.com'
      ? {
          status: 'ok',
          records: [{ preference: 10, exchange: 'mail.example.com' }],
          ttlSeconds: 60,
          authenticated: false,
          canonicalName: name,
          cached: false,
        }
      : { status: 'nxdomain', cached: false },
  addresses: async () => ({ status: 'no-answer', detail: 'no resolver here' }),
  ptr: async () => ({ status: 'nxdomain', cached: false }),
  txt: async () => ({ status: 'nxdomain', cached: false }),
  tlsa: async () => ({ status: 'nxdomain', cached: false }),
  alias: async () => ({ status: 'nxdomain', cached: false }),
  close: () => undefined,
};

export async function openWorld(t: TestContext): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-test-'));
  const storage = await openSqliteStorage({ path: join(folder, 'cmail.db') });
  t.after(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });
  const isOwnHost = (host: string, port: number) => host === 'mail.example.com' && port === 25;
  const settings = await SettingsService.open(storage, { secretKey: new Uint8Array(32), isOwnHost });
  const notices: NoticeRequest[] = [];
  const explained: ExplainRequest[] = [];
  const world: World = {
    folder,
    storage,
    notices,
    explained,
    wakes: 0,
    context: {
      storage,
      settings,
      author: 'tester',
      hostname: 'mail.example.com',
      mailServices: () => ({ submissions: 465, submission: 587, pop3s: 995, pop3: null }),
      serverRunning: true,
      endBackOff: () => 0,
      resolver,
      status: async () => ({ running: true, alarms: ['made up'] }),
      explain: async (request) => {
        explained.push(request);
        return {
          recipient: request.address,
          decision: 'external',
          rule: 'not-hosted',
          reply: { code: 250, enhanced: '2.1.5', text: 'Ok' },
          route: {
            via: request.settings.useMxResolution ? 'mx' : 'smtp-host',
            fallback: null,
            failure: null,
            hosts: [],
          },
          steps: [{ kind: 'rule', text: 'made up' }],
          outlook: [],
          connect: request.connect ? [] : null,
        };
      },
      isOwnHost,
      checkPorts: async () => [{ level: 'ok', topic: 'ports', text: 'smtp is open' }],
      access: null,
      checkTls: async () => [{ level: 'ok', topic: 'tls', text: 'the certificate is good' }],
      certificateKey: async () => ({ sha256: 'ab'.repeat(32), changes: false }),
      checkHosts: async () => [],
      dnsServers: async () => {
        const dns = await startDnsServer({});
        t.after(() => dns.close());
        return [dns.address];
      },
      machine: {
        dataFolder: folder,
        diskSpace: async () => ({ freeBytes: 50 * 1024 ** 3, totalBytes: 100 * 1024 ** 3 }),
        nowMs: Date.now,
        builtAtMs: async () => 0,
      },
      wakeSender: () => {
        world.wakes += 1;
      },
      makeNotices: async (request) => {
        notices.push(request);
        return [];
      },
      secondFactors: new SecondFactors(storage, new Uint8Array(32)),
      hashPassword: async (plain) => `hash of ${plain}`,
      clientAddress: null,
      sessionId: null,
      owner: null,
      destinationStates: () => [],
      traffic: () => [],
      sendTestMessage: async () => 1,
      node: {
        path: join(folder, 'cmail.toml'),
        readHostname: async () => null,
        canWrite: async () => true,
        writeHostname: async () => undefined,
      },
    },
  };
  return world;
}

/** Puts a message for these recipients in the store; a local one is written as an account's id. */
export async function putMessage(
  { storage }: World,
  recipients: readonly (string | number)[],
  content = 'Subject: hello\r\n\r\nhello\r\n',
): Promise<number> {
  const body = storage.openWriter();
  body.append(Buffer.from(content));
  const id = storage.nextMessageId();
  await storage.accept({
    id,
    body,
    sender: 'sender@example.net',
    source: { kind: 'local', address: '127.0.0.1', helo: 'client', user: null, protocol: 'ESMTP' },
    smtputf8: false,
    eightBit: false,
    header: 'Received: by mail.example.com\r\n',
    receivedAt: Date.now(),
    recipients: recipients.map(
      (one): NewRecipient =>
        typeof one === 'number'
          ? {
              address: 'a',
              original: 'a',
              rule: 'account',
              to: { type: 'local', delivery: { accountId: one, header: '' } },
            }
          : {
              address: one,
              original: one,
              rule: 'not-hosted',
              to: { type: 'queue', destination: one.slice(one.indexOf('@') + 1) },
            },
    ),
  });
  return id;
}

export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What the command asked to connect with; null when it never did. */
  readonly asked: ConnectOptions | null;
}

/** Runs a command line against the world's operations, in process. */
export async function cli(world: World, words: readonly string[], stdin = ''): Promise<CliResult> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let asked: ConnectOptions | null = null;
  const connect: Connect = async (options) => {
    asked = options;
    return {
      call: async <T>(op: string, args: unknown = {}) => {
        try {
          return JSON.parse(JSON.stringify(await runOperation(world.context, op, args))) as T;
        } catch (error) {
          const { message, mend, exit } = operationFailure(error);
          throw new OperationError(message, mend, exit);
        }
      },
      close: async () => undefined,
    };
  };
  const io = {
    stdin: Readable.from([Buffer.from(stdin)]),
    stdout: sink(out),
    stderr: sink(err),
    env: {},
    cwd: world.folder,
  };
  const code = await runCli(words, io, connect);
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString(), asked };
}

/** A terminal on which `typed` is entered. */
export async function cliOnTerminal(
  world: World,
  words: readonly string[],
  typed: readonly string[],
): Promise<CliResult> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const answers = [...typed];
  const terminal = new PassThrough();
  const stdin = Object.assign(terminal, {
    isTTY: true,
    setRawMode: (on: boolean) => on && terminal.write(answers.shift() ?? '\x03'),
  });
  const connect: Connect = async () => ({
    call: async <T>(op: string, args: unknown = {}) => (await runOperation(world.context, op, args)) as T,
    close: async () => undefined,
  });
  const code = await runCli(
    words,
    { stdin, stdout: sink(out), stderr: sink(err), env: {}, cwd: world.folder },
    connect,
  );
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString(), asked: null };
}

function sink(into: Buffer[]): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      into.push(Buffer.from(chunk));
      done();
    },
  });
}
