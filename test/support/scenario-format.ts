/** The scenario files of test/scenarios/: their shape, and reading them. test/scenarios/README.md explains it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';

const words = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const listOf = <T extends z.ZodType>(item: T) =>
  z.union([item, z.array(item)]).transform((value) => [value].flat() as z.output<T>[]);
const zones = z.record(z.string(), z.array(z.string()));
const settings = z.record(z.string(), z.string());

const peer = z.strictObject({
  /** `script` answers; `closed` has no listener; `full-backlog` drops SYNs. */
  kind: z.enum(['script', 'closed', 'full-backlog']).default('script'),
  hostname: z.string().optional(),
  extensions: z.array(z.string()).optional(),
  at: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  recipients: z.record(z.string(), z.string()).optional(),
  /** `signed` by a CA the server trusts, for every name of `[dns]`; `other-name` the same for another name. */
  tls: z.enum(['signed', 'other-name', 'self-signed']).optional(),
  auth: z.strictObject({ user: z.string(), password: z.string() }).optional(),
  dripMs: z.number().optional(),
  handBack: z.boolean().optional(),
  /** Recipients it adds to what it hands back. */
  handBackAlso: z.array(z.string()).optional(),
  /** Hands back to these recipients instead. */
  handBackOnly: z.array(z.string()).optional(),
});

const send = z.strictObject({
  /** `local` is 127.0.0.1, `external` 127.0.0.2; any other loopback address as written. */
  client: z.string().default('local'),
  from: z.string(),
  to: words,
  subject: z.string().optional(),
  /** Whole header lines put in front. */
  header: words.default([]),
  body: z.string().optional(),
  /** What follows the reverse-path, such as `BODY=8BITMIME`. */
  parameters: z.string().optional(),
  /** What follows each recipient, such as `NOTIFY=NEVER`; one for each, the last one repeats. */
  asks: words.default([]),
});

/** Regular expressions over the header (each line alone) and the body. */
const contents = {
  from: z.string().optional(),
  header: words.default([]),
  body: z.string().optional(),
};

const step = z.strictObject({
  /** What happens or is expected, in a sentence. */
  note: z.string().optional(),

  send: send.optional(),
  /** Expected replies of the `send` beside it: code, or code and enhanced code. */
  mail: z.string().optional(),
  rcpt: words.optional(),
  end: z.string().optional(),
  /** `explain` gives each recipient's reply in advance; false where it cannot know. */
  explained: z.boolean().default(true),
  /** Regular expression over the text of the last reply that refused, else of the last reply. */
  says: z.string().optional(),

  arrives: listOf(
    z.strictObject({
      peer: z.string(),
      to: words.optional(),
      tls: z.boolean().optional(),
      user: z.string().optional(),
      /** Address it was called from. */
      client: z.string().optional(),
      /** Regular expressions, each for a whole command line of the session that brought it. */
      commands: words.default([]),
      ...contents,
    }),
  ).optional(),
  mailbox: listOf(z.strictObject({ of: z.string(), ...contents })).optional(),
  notice: listOf(
    z.strictObject({
      /** Mailbox it comes to, or `peer:NAME`. */
      at: z.string(),
      recipient: z.string(),
      status: z.string(),
      /** `Action` of the report. */
      action: z.enum(['failed', 'delayed', 'delivered', 'relayed', 'expanded']).default('failed'),
      says: z.string().optional(),
      /** Regular expression that nothing in it may match. */
      lacks: z.string().optional(),
    }),
  ).optional(),
  state: listOf(
    z.strictObject({
      recipient: z.string(),
      state: z.string(),
      via: z.string().optional(),
      attempts: z.number().optional(),
      /** Regular expression over the last reply or reason. */
      reply: z.string().optional(),
      /** The next attempt is at most so many seconds away. */
      withinSeconds: z.number().optional(),
    }),
  ).optional(),
  event: listOf(
    z.strictObject({
      kind: z.string(),
      recipient: z.string().optional(),
      /** Regular expression over the event as JSON. */
      has: z.string().optional(),
    }),
  ).optional(),
  /** No connection reached these peers so far. */
  untouched: words.optional(),
  /** Nothing more is in these mailboxes. */
  empty: words.optional(),
  /** So many questions came for the name and type since this step began. */
  asked: z.strictObject({ name: z.string(), type: z.string(), atLeast: z.number() }).optional(),
  /** A message the peer handed back got this reply, code and enhanced code. */
  handedBack: z.strictObject({ peer: z.string(), reply: z.string() }).optional(),
  /** Regular expression over `status --json`. */
  status: z.string().optional(),
  explain: z
    .strictObject({
      address: z.string(),
      from: z.string().optional(),
      /** `external` (default) or `local`. */
      client: z.string().default('external'),
      with: settings.default({}),
      decision: z.string().optional(),
      reply: z.string().optional(),
      via: z.string().optional(),
      fallback: z.string().optional(),
      failure: z.string().optional(),
    })
    .optional(),

  set: settings.optional(),
  dns: zones.optional(),
  peers: z.record(z.string(), peer).optional(),
  /** A command that must succeed; `{id}` is the last message's queue ID. */
  cli: z.array(z.string()).optional(),
});

const scenario = z.strictObject({
  title: z.string(),
  /** The rows of BEHAVIOUR.md it shows. */
  cites: words,
  /** Its own server instead of the shared one, with nothing in its directory but what stands here. */
  ownServer: z.boolean().default(false),
  /** With a server of its own: no resolver answers. */
  noResolver: z.boolean().default(false),
  /** Made before the scenario starts; what is common stands in world.toml. */
  domains: z.array(z.string()).default([]),
  accounts: z.array(z.string()).default([]),
  aliases: z.record(z.string(), words).default({}),
  catchAll: z.record(z.string(), z.string()).default({}),
  forwards: z.record(z.string(), z.string()).default({}),
  settings: settings.default({}),
  dns: zones.default({}),
  /** The MTA-STS policy of a domain, served at `{policyServer}`. */
  policies: z.record(z.string(), z.string()).default({}),
  peers: z.record(z.string(), peer).default({}),
  step: z.array(step),
});

const world = z.strictObject({
  hostname: z.string(),
  domains: z.array(z.string()),
  /** The first is the server's postmaster. `ADDRESS QUOTA` gives one a quota. */
  accounts: z.array(z.string()),
  disabled: z.array(z.string()),
  aliases: z.record(z.string(), words),
  catchAll: z.record(z.string(), z.string()),
  settings,
});

export type Scenario = z.output<typeof scenario>;
export type ScenarioStep = z.output<typeof step>;
export type ScenarioSend = z.output<typeof send>;
export type ScenarioPeer = z.output<typeof peer>;
export type ExpectedContents = Pick<NonNullable<ScenarioStep['mailbox']>[number], 'from' | 'header' | 'body'>;
export type WorldFile = z.output<typeof world>;

export interface ScenarioFile {
  /** Name of its folder. */
  readonly name: string;
  readonly title: string;
  /** Parsed with `{name}` replaced by each value given; throws with the file's name when it is not valid. */
  read(values: Readonly<Record<string, string>>): Scenario;
  readonly peerNames: readonly string[];
  /** A peer of it speaks TLS or a policy is served, so the openssl command is needed. */
  readonly usesTls: boolean;
  readonly usesPolicies: boolean;
}

/** All scenarios of a folder, in name order. Throws at the first that is not a scenario. */
export function listScenarios(folder: string): ScenarioFile[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
    .map((name) => {
      const file = join(folder, name, 'scenario.toml');
      const text = readFileSync(file, 'utf8');
      const first = readText(file, text);
      const usesPolicies = Object.keys(first.policies).length > 0;
      const speaksTls = [first, ...first.step].some(({ peers }) =>
        Object.values(peers ?? {}).some((each) => each.tls !== undefined),
      );
      return {
        name,
        title: first.title,
        peerNames: Object.keys(first.peers),
        usesTls: speaksTls || usesPolicies,
        usesPolicies,
        read: (values) => readText(file, replaced(text, values)),
      };
    });
}

/** Reads world.toml, with `{name}` replaced as in a scenario. */
export function readWorld(folder: string, values: Readonly<Record<string, string>>): WorldFile {
  const file = join(folder, 'world.toml');
  return checked(file, world, parse(replaced(readFileSync(file, 'utf8'), values)));
}

/** Replaces each `{name}` there is a value for. */
export function replaced(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{([A-Za-z][\w-]*)\}/g, (whole, name: string) => values[name] ?? whole);
}

function readText(file: string, text: string): Scenario {
  try {
    return checked(file, scenario, parse(text));
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function checked<T extends z.ZodType>(file: string, shape: T, value: unknown): z.output<T> {
  const result = shape.safeParse(value);
  if (!result.success) throw new Error(`${file} is not valid:\n${z.prettifyError(result.error)}`);
  return result.data;
}
