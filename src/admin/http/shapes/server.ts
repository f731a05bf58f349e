/** Shapes: status, checks, node, live view. */
import { z } from 'zod';
import { shortText, time } from './common.ts';
import { changesInput } from './settings.ts';

export const statusShape = z
  .looseObject({
    running: z.boolean(),
    hostname: z.string(),
    startedAt: time.nullable(),
    listeners: z.record(z.string(), z.array(z.string())),
    alarms: z.array(z.string()),
    settingsWithoutEffect: z.array(z.string()),
  })
  .meta({ id: 'Status' });

export const alarmShape = z
  .object({ level: z.enum(['bad', 'warn']), text: z.string(), mend: z.string() })
  .meta({ id: 'Alarm' });
export const alarmsShape = z.object({ rows: z.array(alarmShape) });

export const findingShape = z
  .object({
    level: z.enum(['ok', 'skipped', 'warning', 'error']),
    topic: z.string(),
    text: z.string(),
    meaning: z.string().optional(),
    mend: z.string().optional(),
  })
  .meta({ id: 'Finding' });
export const findingsShape = z.object({ findings: z.array(findingShape) });
export const checkBody = z.strictObject({
  probe: z.string().max(1000).nullable().default(null).describe('also dial the MX hosts of this domain'),
});
export const hostTestBody = z.strictObject({ changes: changesInput.default([]) });
export const outboundTestBody = z.strictObject({ domain: shortText });

export const nodeShape = z
  .object({
    hostname: z.string().describe('in force'),
    configFile: z.string().describe('where cmail.toml is or would be'),
    fileHostname: z.string().nullable().describe('what the file says; in force after a restart'),
    canWrite: z.boolean().describe('whether PUT node/hostname can write it there'),
    howToChange: z.string(),
  })
  .meta({ id: 'Node' });
export const hostnameBody = z.strictObject({ hostname: z.string().min(1).max(255) });

export const minuteShape = z
  .object({
    at: time.describe('start of the minute'),
    accepted: z.number().int(),
    refused: z.number().int(),
    delivered: z.number().int(),
    deferred: z.number().int(),
    failed: z.number().int(),
  })
  .meta({ id: 'Minute' });
export const trafficQuery = z.strictObject({ minutes: z.coerce.number().int().min(1).max(1440).default(60) });
export const trafficShape = z.object({ minutes: z.array(minuteShape) });

/** Each event of `GET live` is one of these, whole. */
export const liveShape = z
  .object({
    at: time,
    minutes: z.array(minuteShape).describe('the last 60, the newest last'),
    queue: z.object({
      queued: z.number().int(),
      sending: z.number().int(),
      held: z.number().int(),
      oldestAt: time.nullable(),
      holdAll: z.boolean(),
    }),
    topDestinations: z.array(z.object({ destination: z.string(), waiting: z.number().int() })),
    topReasons: z.array(z.object({ reason: z.string(), count: z.number().int() })),
    alarms: z.array(alarmShape),
    server: z.object({
      hostname: z.string(),
      startedAt: time.nullable(),
      sessions: z.number().int(),
      memoryBytes: z.number().int(),
      listeners: z.array(z.object({ name: z.string(), endpoints: z.array(z.string()) })),
    }),
    nodes: z.array(z.object({ name: z.string(), alive: z.boolean(), seenAt: time })),
  })
  .meta({ id: 'Live' });
