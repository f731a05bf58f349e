import type { Command } from 'commander';
import type { CheckFinding } from '../../admin/context.ts';
import { nodeConfig } from '../connect.ts';
import { UsageError, write } from '../io.ts';
import { formatTable, formatTime, formatTree, plain } from '../output.ts';
import { type CliSession, nodeOptions, read, withConnection } from '../session.ts';

/** `start`, `init`, `status`, `check`, `verify`: the server as a whole. */
export function addServerCommands(program: Command, session: CliSession): void {
  program
    .command('start')
    .description('run the server until SIGTERM')
    .action(async (_, command: Command) => {
      const config = await nodeConfig(nodeOptions(command), session.io);
      const { runServer } = await import('../../server/start.ts');
      session.exitCode = (await runServer(config)) === 0 ? 0 : 1;
    });

  program
    .command('init')
    .description('make the data folder and its store; start does it as well')
    .action(async (_, command: Command) => {
      const { data } = await nodeConfig(nodeOptions(command), session.io);
      await withConnection(session, command, true, async () => {
        await write(session.io.stdout, `The store in ${data} is ready.\n`);
      });
    });

  program
    .command('status')
    .description('the state of server and queue')
    .option('--json', 'as JSON')
    .action(async (_, command: Command) => {
      await read<StatusJson>(session, command, 'status', {}, statusText);
    });

  program
    .command('check')
    .description('check own configuration, DNS, SMTP host, ports, disk and clock')
    .option('--probe <domain>', 'also try the way out, by connecting to the MX hosts of this domain')
    .option('--json', 'as JSON')
    .action(async ({ probe = null }: { probe?: string | null }, command: Command) => {
      const findings = await read<CheckFinding[]>(session, command, 'check', { probe }, checkText);
      if (findings.some(({ level }) => level === 'error')) session.exitCode = 1;
    });

  program
    .command('verify')
    .description('check the consistency of the store')
    .option('--json', 'as JSON')
    .action(async (_, command: Command) => {
      type Verified = { sound: boolean; findings: string[]; total: number };
      const { sound } = await read<Verified>(session, command, 'verify', {}, ({ findings, total }) =>
        total === 0 ? 'The store is sound.\n' : `${findings.map(plain).join('\n')}\n${total} findings\n`,
      );
      if (!sound) session.exitCode = 1;
    });
}

interface NodeJson {
  readonly name: string;
  readonly version: string;
  readonly listeners: Readonly<Record<string, readonly string[]>>;
  readonly alive: boolean;
  readonly self: boolean;
  readonly seenAt: string;
  readonly destinations: number;
}

interface StatusJson {
  /** null when the store cannot be read. */
  readonly nodes?: readonly NodeJson[] | null;
}

/** As a tree, with a line for each node. */
function statusText({ nodes, ...status }: StatusJson): string {
  const lines = (nodes ?? []).map(nodeText);
  return formatTree({ ...status, nodes: nodes === null ? null : lines.length === 1 ? lines[0] : lines });
}

function nodeText({ name, version, listeners, alive, self, seenAt, destinations }: NodeJson): string {
  const life = alive ? 'alive' : 'not heard of';
  const open = Object.entries(listeners).filter(([, endpoints]) => endpoints.length > 0);
  const serves = open.map(([service, endpoints]) => `${service} ${endpoints.join(' ')}`).join(', ');
  const owns = `${destinations} ${destinations === 1 ? 'destination' : 'destinations'}`;
  const who = self ? `${name} (this one)` : name;
  return `${who}: ${life}, seen ${formatTime(seenAt)}, version ${version}, ${serves || 'no listeners'}; owns ${owns}`;
}

function checkText(findings: readonly CheckFinding[]): string {
  return formatTable(
    ['LEVEL', 'TOPIC', 'FINDING'],
    findings.flatMap(({ level, topic, text, meaning, mend }) => [
      [level, topic, text],
      ...[meaning, mend].filter((line) => line !== undefined).map((line) => ['', '', `  ${line}`]),
    ]),
  );
}

interface Explained {
  readonly recipient: string;
  readonly decision: string;
  readonly rule: string;
  readonly reply: { readonly code: number; readonly enhanced: string; readonly text: string };
  readonly route: object | null;
  readonly steps: readonly { readonly kind: string; readonly text: string }[];
  readonly outlook: readonly { readonly kind: string; readonly text: string }[];
  readonly connect: readonly ExplainedServer[] | null;
}

interface ExplainedServer {
  readonly name: string;
  readonly port: number;
  readonly address: string;
  readonly stage: string;
  readonly greeting: string | null;
  readonly tls: {
    readonly version: string;
    readonly verified: boolean;
    readonly problem: string | null;
  } | null;
  readonly tlsFailure: string | null;
  readonly extensions: readonly string[];
  readonly failure: { readonly text: string } | null;
}

/** `explain`: decision and route in advance. */
export function addExplainCommand(program: Command, session: CliSession): void {
  program
    .command('explain <address>')
    .description('what would happen to mail for an address; without client or user it comes from outside')
    .option('--from <address>', 'envelope sender', '')
    .option('--client <ip>', 'address of the client')
    .option('--user <name>', 'authenticated account')
    .option('--with <changes...>', 'as if settings were changed: KEY=VALUE …')
    .option('--connect', 'call each server as far as EHLO, without sending mail')
    .option('--json', 'as JSON')
    .action(
      async (
        address: string,
        options: { from: string; client?: string; user?: string; with?: string[]; connect?: true },
        command: Command,
      ) => {
        const args = {
          address,
          from: options.from,
          client: options.client ?? null,
          user: options.user ?? null,
          with: (options.with ?? []).map(changeOf),
          connect: options.connect === true,
        };
        await read<Explained>(session, command, 'explain', args, explainText);
      },
    );
}

function changeOf(text: string): { key: string; value: string } {
  const at = text.indexOf('=');
  if (at > 0) return { key: text.slice(0, at), value: text.slice(at + 1) };
  throw new UsageError(`--with ${text} is not KEY=VALUE`, 'Write it as smtp.useMxResolution=off.');
}

function explainText({
  recipient,
  decision,
  rule,
  reply,
  route,
  steps,
  outlook,
  connect,
}: Explained): string {
  const said = [reply.code, reply.enhanced, reply.text].filter((part) => part !== '').join(' ');
  return [
    `${plain(recipient)}: ${decision} (${rule})\n`,
    `reply: ${plain(said)}\n`,
    route === null ? '' : `route:\n${formatTree(route, '  ')}`,
    steps.length === 0 ? '' : 'steps:\n',
    ...steps.map(({ kind, text }) => `  ${kind.padEnd(8)}  ${plain(text)}\n`),
    outlook.length === 0 ? '' : 'what each failure would lead to:\n',
    ...outlook.map(({ kind, text }) => `  ${kind.padEnd(11)}  ${plain(text)}\n`),
    connect === null ? '' : connect.length === 0 ? 'servers called: none\n' : 'servers called:\n',
    ...(connect ?? []).map(serverText),
  ].join('');
}

function serverText(server: ExplainedServer): string {
  const { name, address, port, stage, greeting, tls, tlsFailure, extensions, failure } = server;
  const certificate = tls?.verified ? 'verified' : `not verified: ${tls?.problem}`;
  const lines =
    failure !== null
      ? [`failed (${stage}): ${failure.text}`]
      : [
          `ready, greeted with ${greeting}`,
          tls === null ? 'no TLS' : `${tls.version}, certificate ${certificate}`,
          ...(tlsFailure === null ? [] : [`in clear because TLS failed: ${tlsFailure}`]),
          `offers ${extensions.length === 0 ? 'no extensions' : extensions.join(', ')}`,
        ];
  return `  ${plain(`${name} [${address}] port ${port}`)}\n${lines.map((line) => `    ${plain(line)}\n`).join('')}`;
}
