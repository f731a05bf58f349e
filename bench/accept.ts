import { type ChildProcess, spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { type CleanUp, type Cmail, type Endpoint, startCmail } from '../test/support/cmail.ts';
import { runChecked } from '../test/support/command.ts';
import { freePort } from '../test/support/free-port.ts';
import { greeted } from '../test/support/smtp-client.ts';
import { median } from './machine.ts';

export const SESSIONS = 50;
export const MESSAGE_BYTES = 10 * 1024;
const RECIPIENT = { address: 'user@local.example', password: 'long enough' };

export interface AcceptFigures {
  /** One connection for many messages (`smtp-source -d`), or one each. */
  readonly kept: boolean;
  /** Messages a second of each round, in order. */
  readonly cmail: readonly number[];
  readonly sink: readonly number[];
  /** Of the medians, CMail to `smtp-sink`. */
  readonly ratio: number;
}

/**
 * `smtp-source` at CMail, which stores every message durably in a mailbox before its 250, and at `smtp-sink`,
 * which stores nothing, in turns, so that a busy moment of the machine meets both.
 */
export async function measureAccept(
  t: CleanUp,
  options: { kept: boolean; rounds: number; messages: number; env?: Readonly<Record<string, string>> },
): Promise<AcceptFigures> {
  const server = await startServer(t, options.env);
  const sink = await startSink(t);
  const cmail: number[] = [];
  const other: number[] = [];
  const measure = (to: Endpoint) => messagesPerSecond(to, options.kept, options.messages);
  await measure(server.listeners.smtp);
  await measure(sink);
  for (let round = 0; round < options.rounds; round += 1) {
    cmail.push(await measure(server.listeners.smtp));
    other.push(await measure(sink));
  }
  await server.stop();
  return { kept: options.kept, cmail, sink: other, ratio: median(cmail) / median(other) };
}

/** One run at CMail alone, for its profile: the process is started with `env` and ended before this resolves. */
export async function runOnce(
  t: CleanUp,
  options: { kept: boolean; messages: number; env: Readonly<Record<string, string>> },
): Promise<void> {
  const server = await startServer(t, options.env);
  await messagesPerSecond(server.listeners.smtp, options.kept, options.messages);
  await server.stop();
}

/** The command as a reader would type it. */
export function sourceArguments(kept: boolean, messages: number): string[] {
  const size = ['-s', String(SESSIONS), '-l', String(MESSAGE_BYTES), '-m', String(messages)];
  return [...(kept ? ['-d'] : []), ...size, '-f', 'sender@other.example', '-t', RECIPIENT.address];
}

async function messagesPerSecond(to: Endpoint, kept: boolean, messages: number): Promise<number> {
  const start = performance.now();
  const args = [...sourceArguments(kept, messages), `${to.host}:${to.port}`];
  await runChecked('smtp-source', args, { timeoutMs: 300_000 });
  return Math.round(messages / ((performance.now() - start) / 1000));
}

function startServer(t: CleanUp, env: Readonly<Record<string, string>> = {}): Promise<Cmail> {
  return startCmail(t, { domains: ['local.example'], accounts: [RECIPIENT], env });
}

async function startSink(t: CleanUp): Promise<Endpoint> {
  const port = await freePort('127.0.0.1');
  // It refuses to run as root without a user to become.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn('smtp-sink', [...user, `127.0.0.1:${port}`, '1024'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.after(() => end(child));
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const endpoint = { host: '127.0.0.1', port };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const client = await Promise.race([greeted(endpoint), failed]);
      client.destroy();
      return endpoint;
    } catch (error) {
      if (attempt === 50 || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  await ended;
}
