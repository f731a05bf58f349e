/**
 * Starts the real server (`bin/cmail start`) on free loopback ports with a data folder of its own, and runs
 * the command line beside it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { stringify } from 'smol-toml';
import { runCli } from '../../src/cli/run.ts';

const launcher = resolve(import.meta.dirname, '../../bin/cmail');
const READY_LIMIT_MS = 30_000;
const COMMAND_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 20_000;
const OUTPUT_LIMIT_CHARS = 1_000_000;

/** What a test context, a suite's `{ after }` or anything else that can clean up offers. */
export interface CleanUp {
  after(action: () => Promise<void> | void): void;
}

export interface AccountInput {
  readonly address: string;
  /** Default `secret-password`. */
  readonly password?: string;
  /** As the command line takes it, such as `10KB`. */
  readonly quota?: string;
}

export interface CmailOptions {
  /** Laid over the default cmail.toml, section by section. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly settings?: Readonly<Record<string, string>>;
  readonly domains?: readonly string[];
  /** The first one made is the server's postmaster. */
  readonly accounts?: readonly AccountInput[];
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
  readonly env?: Readonly<Record<string, string>>;
  /** An existing data folder, left in place afterwards; default a new one that is removed. */
  readonly dataDir?: string;
  /** `bin/cmail` of another checkout. */
  readonly launcher?: string;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface CommandResult {
  /** Exit status, -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Standard input; empty by default. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Cmail {
  readonly dataDir: string;
  readonly configFile: string;
  /** Of the running server; changes with `restart`. */
  readonly pid: number;
  /** First endpoint of each open listener; changes with `restart`. */
  readonly listeners: Readonly<Record<string, Endpoint>> & {
    readonly smtp: Endpoint;
    readonly pop3: Endpoint;
    readonly admin: Endpoint;
  };
  /** Runs a command with this server's `--data` and `--config`, in a process of its own as users do. */
  cli(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Runs a command that must succeed, within this process, which is quicker; resolves to its standard output. */
  run(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Runs a reading command with `--json`; resolves to the parsed output. */
  json<T = unknown>(args: readonly string[]): Promise<T>;
  /** Sets settings, all in one call. */
  set(settings: Readonly<Record<string, string>>): Promise<void>;
  /** Sends a signal (SIGTERM) and waits for the end. Resolves at once when it has ended already. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  /** Ends the process as a power cut would end it. */
  kill9(): Promise<Exit>;
  /**
   * Stops it when it runs and starts it on the same folder and configuration; free ports are taken anew.
   * `env` comes on top of the options' environment, for this start only.
   */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when the process has ended, whoever ended it. */
  readonly ended: Promise<Exit>;
  /** Standard output and error so far, the last million characters. */
  logText(): string;
  /** Asks `probe` until it gives something; rejects after `limitMs` (10 s) with `what` and the end of the log. */
  waitFor<T>(what: string, probe: () => Promise<T | undefined | false>, limitMs?: number): Promise<T>;
}

/** A private folder, removed afterwards. */
export async function temporaryFolder(t: CleanUp): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cmail-test-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Runs `bin/cmail` with just these arguments; killed after 30 s. */
export function runCmail(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((done, fail) => {
    const child = spawn(launcher, args, { env: environment(options.env), stdio: ['pipe', 'pipe', 'pipe'] });
    const limit = setTimeout(() => child.kill('SIGKILL'), COMMAND_LIMIT_MS);
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.stdin.on('error', () => undefined); // a command that reads no input may be gone already
    child.stdin.end(options.input ?? '');
    child.on('error', fail);
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      const note = signal === null ? '' : `\n(ended by ${signal})`;
      done({ code: code ?? -1, stdout: stdout.text(), stderr: stderr.text() + note });
    });
  });
}

/** The same program without a process for it. */
async function runWithin(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const [outText, errText] = [collect(stdout), collect(stderr)];
  const code = await runCli(args, {
    stdin: Readable.from([Buffer.from(options.input ?? '')]),
    stdout,
    stderr,
    env: environment(options.env),
    cwd: process.cwd(),
  });
  await Promise.all([stdout, stderr].map((stream) => new Promise((done) => stream.once('end', done).end())));
  return { code, stdout: outText.text(), stderr: errText.text() };
}

/** Writes a cmail.toml into `folder`: smtp and pop3 on free ports, a resolver nobody answers at. */
export async function writeConfig(
  folder: string,
  dataDir: string,
  config: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const whole: Record<string, unknown> = {
    data: dataDir,
    hostname: 'mail.cmail.test',
    listen: {
      smtp: ['127.0.0.1:0'],
      submission: [],
      submissions: [],
      pop3: ['127.0.0.1:0'],
      pop3s: [],
      admin: '127.0.0.1:0',
    },
    dns: { servers: ['127.0.0.1:9'] },
  };
  for (const [key, value] of Object.entries(config)) {
    const before = whole[key];
    whole[key] = isSection(before) && isSection(value) ? { ...before, ...value } : value;
  }
  const file = join(folder, 'cmail.toml');
  await writeFile(file, stringify(whole));
  return file;
}

/**
 * The engine that servers of this run keep their mail in: CMAIL_TEST_STORE is `sqlite` (default) or `postgres`,
 * where each gets a database of its own.
 */
function storeOfRun(): 'sqlite' | 'postgres' {
  const name = process.env.CMAIL_TEST_STORE ?? 'sqlite';
  if (name === 'sqlite' || name === 'postgres') return name;
  throw new Error(`CMAIL_TEST_STORE=${name} is neither sqlite nor postgres`);
}

/** The store's part of cmail.toml for a new server of this run. */
async function storeConfig(t: CleanUp): Promise<Readonly<Record<string, unknown>>> {
  if (storeOfRun() === 'sqlite') return {};
  const { scratchDatabase } = await import('./postgres-shared.ts');
  return { store: { url: (await scratchDatabase(t)).url } };
}

/** Starts a server, gives it what `options` names, and ends and removes it afterwards. */
export async function startCmail(outer: CleanUp, options: CmailOptions = {}): Promise<Cmail> {
  const actions: (() => Promise<void> | void)[] = [];
  // Before anything is waited for: afterwards a runner may not know any more whose clean-up it is. The last first.
  outer.after(async () => {
    for (const action of actions.toReversed()) await action();
  });
  const t: CleanUp = { after: (action) => void actions.push(action) };
  const folder = await mkdtemp(join(tmpdir(), 'cmail-test-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const dataDir = options.dataDir ?? join(folder, 'data');
  const store = options.config?.store === undefined ? await storeConfig(t) : {};
  const configFile = await writeConfig(folder, dataDir, { ...store, ...options.config });
  let running: Running | undefined;
  t.after(async () => {
    if (running !== undefined) await endProcess(running, 'SIGTERM');
  });
  const start = async (env?: CmailOptions['env']): Promise<Running> => {
    running = spawnServer(options.launcher ?? launcher, dataDir, configFile, { ...options.env, ...env });
    await running.ready;
    return running;
  };
  const server = handle(dataDir, configFile, options, await start(), start);
  await provide(server, options);
  return server;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Exit>;
  readonly ready: Promise<void>;
  readonly listeners: Record<string, Endpoint>;
  text(): string;
}

function handle(
  dataDir: string,
  configFile: string,
  options: CmailOptions,
  first: Running,
  start: (env?: CmailOptions['env']) => Promise<Running>,
): Cmail {
  let running = first;
  let earlierText = '';
  const place = ['--data', dataDir, '--config', configFile];
  const cmail: Cmail = {
    dataDir,
    configFile,
    get pid() {
      return running.child.pid ?? -1;
    },
    get listeners() {
      return running.listeners as Cmail['listeners'];
    },
    get ended() {
      return running.ended;
    },
    cli: (args, more = {}) =>
      runCmail([...args, ...place], { ...more, env: { ...options.env, ...more.env } }),
    async run(args, more) {
      const result = await runWithin([...args, ...place], more);
      if (result.code !== 0) {
        throw new Error(`cmail ${args.join(' ')}: exit ${result.code}\n${result.stdout}${result.stderr}`);
      }
      return result.stdout;
    },
    async json<T>(args: readonly string[]) {
      return JSON.parse(await cmail.run([...args, '--json'])) as T;
    },
    async set(settings) {
      const words = Object.entries(settings).flat();
      if (words.length > 0) await cmail.run(['settings', 'set', ...words]);
    },
    stop: (signal = 'SIGTERM') => endProcess(running, signal),
    kill9: () => endProcess(running, 'SIGKILL'),
    async restart(env) {
      await endProcess(running, 'SIGTERM');
      earlierText = cmail.logText();
      running = await start(env);
    },
    logText: () => (earlierText + running.text()).slice(-OUTPUT_LIMIT_CHARS),
    waitFor: (what, probe, limitMs) =>
      poll(what, probe, limitMs, () => `end of the server's output:\n${cmail.logText().slice(-4000)}`),
  };
  return cmail;
}

/** Asks `probe` every 50 ms until it gives something; rejects after `limitMs` (10 s) naming `what`. */
export async function poll<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  limitMs = 10_000,
  more: () => string = () => '',
): Promise<T> {
  const until = Date.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() >= until) throw new Error(`waited ${limitMs} ms for ${what}; ${more()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Domains first, then accounts (the first alone: it becomes postmaster), aliases and settings. */
async function provide(server: Cmail, options: CmailOptions): Promise<void> {
  for (const name of options.domains ?? []) await server.run(['domain', 'add', name]);
  const add = ({ address, password = 'secret-password', quota }: AccountInput) =>
    server.run(
      ['account', 'add', address, '--password-stdin', ...(quota === undefined ? [] : ['--quota', quota])],
      { input: `${password}\n` },
    );
  const [first, ...others] = options.accounts ?? [];
  if (first !== undefined) await add(first);
  await Promise.all([
    ...others.map(add),
    ...Object.entries(options.aliases ?? {}).map(([name, targets]) =>
      server.run(['alias', 'add', name, ...targets]),
    ),
    server.set(options.settings ?? {}),
  ]);
}

function spawnServer(
  program: string,
  dataDir: string,
  configFile: string,
  env: CmailOptions['env'],
): Running {
  const child = spawn(program, ['start', '--data', dataDir, '--config', configFile], {
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const listeners: Record<string, Endpoint> = {};
  const output = collect(child.stdout, child.stderr);
  const ended = new Promise<Exit>((done) => {
    child.on('error', () => done({ code: -1, signal: null }));
    child.on('close', (code, signal) => done({ code, signal }));
  });
  const ready = new Promise<void>((done, fail) => {
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      fail(new Error(`cmail was not ready within ${READY_LIMIT_MS} ms; its output:\n${output.text()}`));
    }, READY_LIMIT_MS);
    output.onText(() => {
      const line = /^ready (\{.*\})$/m.exec(output.text())?.[1];
      if (line === undefined || !output.text().includes(`ready ${line}\n`)) return false;
      clearTimeout(limit);
      Object.assign(listeners, readListeners(line));
      done();
      return true;
    });
    void ended.then((exit) => {
      clearTimeout(limit);
      fail(new Error(`cmail start ended (${exit.code ?? exit.signal}); its output:\n${output.text()}`));
    });
  });
  return { child, ended, ready, listeners, text: output.text };
}

async function endProcess(running: Running, signal: NodeJS.Signals): Promise<Exit> {
  running.child.kill(signal);
  const limit = setTimeout(() => running.child.kill('SIGKILL'), STOP_LIMIT_MS);
  const exit = await running.ended;
  clearTimeout(limit);
  return exit;
}

function readListeners(line: string): Record<string, Endpoint> {
  const found: Record<string, Endpoint> = {};
  for (const [name, endpoints] of Object.entries(JSON.parse(line) as Record<string, unknown>)) {
    const first: unknown = Array.isArray(endpoints) ? endpoints[0] : endpoints;
    if (typeof first !== 'string') continue;
    const colon = first.lastIndexOf(':');
    found[name] = {
      host: first.slice(0, colon).replace(/^\[|\]$/g, ''),
      port: Number(first.slice(colon + 1)),
    };
  }
  return found;
}

/** Gathers text of streams; `onText` is asked after each piece until it says true. */
function collect(...streams: readonly (NodeJS.ReadableStream | null)[]) {
  let text = '';
  let watcher: (() => boolean) | undefined;
  for (const stream of streams) {
    const decoder = new StringDecoder('utf8');
    stream?.on('data', (piece: Buffer) => {
      text = (text + decoder.write(piece)).slice(-OUTPUT_LIMIT_CHARS);
      if (watcher?.()) watcher = undefined;
    });
  }
  return {
    text: () => text,
    onText(listener: () => boolean) {
      watcher = listener;
    },
  };
}

/** The caller's environment without any `CMAIL_…` of its own. */
function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const base = Object.entries(process.env).filter(([name]) => !name.startsWith('CMAIL_'));
  return { ...Object.fromEntries(base), ...more };
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
