/** This node and its dashboard: configuration file, alarms, traffic, tests that connect somewhere. */
import { z } from 'zod';
import { canonicalDomain } from '../mail/address.ts';
import { type AdminContext, type CheckFinding, OperationError } from './context.ts';
import { type OperationTable, operation } from './operation.ts';
import { changeSchema, settingsRefusal } from './settings-operations.ts';
import { TRAFFIC_MINUTES } from './traffic.ts';

const TOP = 8;

export const nodeOperations: OperationTable = {
  'node.show': operation(z.strictObject({}), (context) => nodeJson(context)),

  /** Writes the host name into cmail.toml where it has none; in force after a restart. */
  'node.hostname': operation(
    z.strictObject({ hostname: z.string().min(1).max(255) }),
    async (context, args) => {
      const hostname = /[\s@:/[\]]/.test(args.hostname) ? undefined : canonicalDomain(args.hostname);
      if (hostname === undefined || hostname === '') {
        const message = 'it is not a host name';
        throw new OperationError(`${args.hostname} is not a host name`, 'Write it as mail.example.com.', 1, {
          errors: [{ key: 'hostname', message, wouldDo: 'mail.example.com' }],
        });
      }
      if (!(await context.node.canWrite())) {
        const { howToChange } = await nodeJson(context);
        throw new OperationError(`${context.node.path} has a host name already`, howToChange, 1, {
          kind: 'conflict',
        });
      }
      await context.node.writeHostname(hostname);
      return nodeJson(context);
    },
  ),

  alarms: operation(z.strictObject({}), async (context) => ({ rows: await alarmsOf(context) })),

  traffic: operation(
    z.strictObject({ minutes: z.number().int().min(1).max(TRAFFIC_MINUTES).default(60) }),
    (context, { minutes }) => ({ minutes: minutesOf(context, minutes) }),
  ),

  /** The whole dashboard at one moment. */
  live: operation(z.strictObject({}), live),

  /** Connects to the SMTP host by settings as edited: EHLO, TLS, AUTH. Sends no mail. */
  'check.smtpHost': operation(
    z.strictObject({ changes: z.array(changeSchema).max(200).default([]) }),
    async (context, { changes }) => {
      const edited = await context.settings.preview(changes);
      if (!edited.ok) throw settingsRefusal(edited);
      const findings = await context.checkHosts(null, edited.settings);
      return { findings: findings.filter(({ topic }) => topic === 'smtp-host') };
    },
  ),

  /** Whether the port for sending is open outward. */
  'check.outbound': operation(
    z.strictObject({ domain: z.string().min(1).max(1000) }),
    async (context, args) => {
      const domain = canonicalDomain(args.domain);
      if (domain === undefined || domain === '') {
        throw new OperationError(`${args.domain} is not a domain`, 'Write it as example.com.', 2, {
          errors: [{ key: 'domain', message: 'it is not a domain', wouldDo: 'example.com' }],
        });
      }
      const findings = await context.checkHosts(domain);
      return { findings: findings.filter(({ topic }: CheckFinding) => topic === 'outbound') };
    },
  ),
};

async function nodeJson({ node, hostname }: AdminContext) {
  const [fileHostname, canWrite] = await Promise.all([node.readHostname(), node.canWrite()]);
  return {
    hostname,
    configFile: node.path,
    fileHostname,
    canWrite,
    howToChange: canWrite
      ? `It can be written into ${node.path} from here; start CMail again afterwards.`
      : `Set hostname in ${node.path} (or CMAIL_HOSTNAME where that is used), then start CMail again.`,
  };
}

interface StatusFacts {
  readonly hostname?: string;
  readonly startedAt?: string | null;
  readonly sessions?: Readonly<Record<string, readonly unknown[]>>;
  readonly memoryBytes?: number;
  readonly listeners?: Readonly<Record<string, readonly string[]>>;
  readonly alarms?: readonly string[];
  /** Without the earlier runs of nodes that were started again; null when the store cannot be read. */
  readonly nodes?:
    | readonly { readonly name: string; readonly alive: boolean; readonly seenAt: string }[]
    | null;
}

async function alarmsOf(context: AdminContext, facts?: StatusFacts) {
  const { alarms = [] } = facts ?? ((await context.status()) as StatusFacts);
  const { problems, warnings } = {
    problems: context.settings.problems(),
    warnings: context.settings.warnings(),
  };
  return [
    ...[...alarms, ...problems].map((text) => ({ level: 'bad' as const, ...splitMend(text) })),
    ...warnings.map(({ key, text }) => ({ level: 'warn' as const, text: `${key}: ${text}`, mend: '' })),
  ];
}

/** Alarms say in their first sentence what is wrong, and then why and what to do. */
function splitMend(text: string): { readonly text: string; readonly mend: string } {
  const at = text.indexOf('. ');
  return at < 0 ? { text, mend: '' } : { text: text.slice(0, at + 1), mend: text.slice(at + 2) };
}

function minutesOf({ traffic }: AdminContext, minutes: number) {
  return traffic(minutes).map((minute) => ({ ...minute, at: iso(minute.at) }));
}

async function live(context: AdminContext) {
  const { storage } = context;
  const [status, counts, destinations, topReasons] = await Promise.all([
    context.status() as Promise<StatusFacts>,
    storage.counts(),
    storage.queueDestinations({ offset: 0, limit: TOP }),
    storage.topReasons(TOP),
  ]);
  const { queued, sending, held, oldestAt, holdAll } = counts;
  return {
    at: iso(Date.now()),
    minutes: minutesOf(context, 60),
    queue: { queued, sending, held, oldestAt: oldestAt === null ? null : iso(oldestAt), holdAll },
    topDestinations: destinations.map((one) => ({
      destination: one.destination,
      waiting: one.waiting + one.sending + one.held,
    })),
    topReasons,
    alarms: await alarmsOf(context, status),
    server: {
      hostname: status.hostname ?? context.hostname,
      startedAt: status.startedAt ?? null,
      sessions: status.sessions?.smtp?.length ?? 0,
      memoryBytes: status.memoryBytes ?? 0,
      listeners: Object.entries(status.listeners ?? {}).map(([name, endpoints]) => ({ name, endpoints })),
    },
    nodes: (status.nodes ?? []).map(({ name, alive, seenAt }) => ({ name, alive, seenAt })),
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
