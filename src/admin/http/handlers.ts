/** What each route does: its input made into the arguments of an operation, and the answer. */
import { type AdminContext, OperationError } from '../context.ts';
import { runOperation } from '../operations.ts';
import { passwordStrength } from '../password-strength.ts';
import { accountSubject, administratorSubject } from '../second-factor.ts';
import { meHandlers } from './handlers-me.ts';
import type { LiveStreams } from './live-stream.ts';
import type { RouteAnswer, RouteInput, RouteName } from './routes.ts';
import { type Caller, type Origin, removedCookie, SESSION_IDLE_MS, type Sessions } from './sessions.ts';
import type { SetupLink } from './setup-link.ts';
import { sourceResponse } from './source-response.ts';

/** What a handler works with, for one request. */
export interface Call {
  /** With the caller as author. */
  readonly context: AdminContext;
  readonly caller: Caller | null;
  readonly origin: Origin;
  /** Adds a header to the answer. */
  header(name: string, value: string): void;
  /** Whether the caller still may; for streams. */
  stillAllowed(): Promise<boolean>;
}

export interface HandlerParts {
  readonly sessions: Sessions;
  readonly setup: SetupLink;
  readonly live: LiveStreams;
}

export type Handlers = {
  readonly [N in RouteName]: (call: Call, input: RouteInput<N>) => Promise<RouteAnswer<N>>;
};

/** Runs an operation whose answer is the route's; the API's tests hold the two together. */
function run<N extends RouteName>(call: Call, name: string, args: object): Promise<RouteAnswer<N>> {
  return runOperation(call.context, name, args) as Promise<RouteAnswer<N>>;
}

export function createHandlers(parts: HandlerParts): Handlers {
  return {
    ...accessHandlers(parts),
    ...factorHandlers(parts),
    ...settingsHandlers(),
    ...messageHandlers(),
    ...queueHandlers(),
    ...directoryHandlers(),
    ...serverHandlers(parts),
    ...meHandlers(parts),
  };
}

type Part<N extends RouteName> = Pick<Handlers, N>;

function accessHandlers({
  sessions,
  setup,
}: HandlerParts): Part<
  | 'setupState'
  | 'setupCheck'
  | 'setup'
  | 'passwordStrength'
  | 'signIn'
  | 'signInCode'
  | 'session'
  | 'signOut'
  | 'sessions'
  | 'signOutEverywhere'
  | 'endSession'
  | 'administrators'
  | 'addAdministrator'
  | 'setAdministratorPassword'
  | 'removeAdministrator'
  | 'tokens'
  | 'makeToken'
  | 'revokeToken'
  | 'audit'
> {
  return {
    setupState: async ({ context }) => ({ needed: await setup.needed(), hostname: context.hostname }),
    setupCheck: async (_, { body }) => {
      await setup.check(body.token);
      return undefined;
    },
    setup: async (call, { body }) => {
      await setup.check(body.token);
      const context = { ...call.context, author: body.name.trim().toLowerCase().slice(0, 100) };
      const added = (await runOperation(context, 'administrator.add', {
        name: body.name,
        password: body.password,
        onlyFirst: true,
      })) as { name: string };
      setup.used();
      const opened = await sessions.open({ kind: 'administrator', name: added.name }, call.origin);
      call.header('set-cookie', opened.cookie);
      return sessionJson(opened.caller, call.context);
    },
    passwordStrength: async (_, { body }) => passwordStrength(body.password, body.name),

    signIn: async (call, { body }) => {
      const opened = await sessions.signIn(body.name, body.password, call.origin);
      if ('pending' in opened) {
        return { pending: opened.pending, expiresAt: new Date(opened.expiresAtMs).toISOString() };
      }
      call.header('set-cookie', opened.cookie);
      return sessionJson(opened.caller, call.context);
    },
    signInCode: async (call, { body }) => {
      const opened = await sessions.signInWithCode(body.pending, body.code, call.origin);
      call.header('set-cookie', opened.cookie);
      return sessionJson(opened.caller, call.context);
    },
    session: async ({ caller, context }) => sessionJson(known(caller), context),
    signOut: async (call) => {
      await sessions.end(known(call.caller));
      call.header('set-cookie', removedCookie(call.origin.secure));
      return undefined;
    },
    sessions: (call, { query }) => run<'sessions'>(call, 'session.list', query),
    signOutEverywhere: async (call) => {
      await runOperation(call.context, 'session.endAll', { name: call.context.author });
      call.header('set-cookie', removedCookie(call.origin.secure));
      return undefined;
    },
    endSession: (call, { params }) => done(call, 'session.end', params),

    administrators: (call, { query }) => run<'administrators'>(call, 'administrator.list', query),
    addAdministrator: (call, { body }) => run<'addAdministrator'>(call, 'administrator.add', body),
    setAdministratorPassword: (call, { params, body }) =>
      done(call, 'administrator.password', { ...params, ...body }),
    removeAdministrator: (call, { params }) => done(call, 'administrator.remove', params),

    tokens: (call, { query }) => run<'tokens'>(call, 'token.list', query),
    makeToken: (call, { body }) => run<'makeToken'>(call, 'token.add', body),
    revokeToken: (call, { params }) => done(call, 'token.revoke', params),

    audit: (call, { query }) => run<'audit'>(call, 'audit.list', query),
  };
}

function factorHandlers({
  sessions,
}: HandlerParts): Part<
  | 'secondFactor'
  | 'beginSecondFactor'
  | 'confirmSecondFactor'
  | 'turnOffSecondFactor'
  | 'resetSecondFactor'
  | 'resetAccountSecondFactor'
  | 'bans'
  | 'liftBan'
> {
  const own = ({ context }: Call) => administratorSubject(context.author);
  const counted = <T>(call: Call, work: () => Promise<T>) =>
    sessions.counted(call.context.author, call.origin, work);
  return {
    secondFactor: (call) => run<'secondFactor'>(call, 'secondFactor.state', { subject: own(call) }),
    beginSecondFactor: (call, { body }) =>
      counted(call, () =>
        run<'beginSecondFactor'>(call, 'secondFactor.begin', { subject: own(call), ...body }),
      ),
    confirmSecondFactor: (call, { body }) =>
      run<'confirmSecondFactor'>(call, 'secondFactor.turnOn', { subject: own(call), ...body }),
    turnOffSecondFactor: (call, { body }) =>
      counted(call, () => done(call, 'secondFactor.turnOff', { subject: own(call), ...body })),
    resetSecondFactor: (call, { params }) =>
      done(call, 'secondFactor.reset', { subject: administratorSubject(params.name) }),
    resetAccountSecondFactor: (call, { params }) =>
      done(call, 'secondFactor.reset', { subject: accountSubject(params.address) }),
    bans: (call, { query }) => run<'bans'>(call, 'access.list', query),
    liftBan: (call, { body }) => done(call, 'access.unban', body),
  };
}

function settingsHandlers(): Part<
  | 'settings'
  | 'changeSettings'
  | 'previewSettings'
  | 'settingsHistory'
  | 'revertSetting'
  | 'exportSettings'
  | 'explain'
> {
  const withVersion = async (call: Call, name: string, args: object) => {
    const { ok: _, ...outcome } = (await runOperation(call.context, name, args)) as Record<string, unknown>;
    const { version } = (await runOperation(call.context, 'settings.version', {})) as { version: number };
    return { ...outcome, version } as RouteAnswer<'changeSettings'>;
  };
  return {
    settings: (call) => run<'settings'>(call, 'settings.form', {}),
    changeSettings: (call, { body }) =>
      withVersion(call, 'settings.set', { changes: body.changes, ifVersion: body.version }),
    previewSettings: (call, { body }) => run<'previewSettings'>(call, 'settings.preview', body),
    settingsHistory: async (call, { query }) => {
      const { limit, after } = query;
      const before = after === undefined ? undefined : Number(after);
      if (before !== undefined && !Number.isSafeInteger(before)) throw notANext();
      const rows = (await runOperation(call.context, 'settings.history', {
        limit,
        ...(before === undefined ? {} : { before }),
      })) as RouteAnswer<'settingsHistory'>['rows'];
      return { rows, next: rows.length === limit ? String(rows.at(-1)?.n ?? '') : null };
    },
    revertSetting: (call, { params }) => withVersion(call, 'settings.revert', params),
    exportSettings: async (call) => {
      const text = (await runOperation(call.context, 'settings.export', {})) as string;
      return new Response(text, {
        headers: {
          'content-type': 'application/toml; charset=utf-8',
          'content-disposition': 'attachment; filename="cmail-settings.toml"',
        },
      });
    },
    explain: (call, { body }) => run<'explain'>(call, 'explain.compare', body),
  };
}

function messageHandlers(): Part<
  'messages' | 'message' | 'messageHeaders' | 'messageSource' | 'testMessage'
> {
  return {
    messages: (call, { query }) => {
      const { since, until, ...rest } = query;
      return run<'messages'>(call, 'message.search', {
        ...rest,
        ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
        ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
      });
    },
    message: async (call, { params, query }) => {
      const found = (await runOperation(call.context, 'message', {
        ...params,
        eventsFrom: query.eventsFrom,
      })) as { message: object; nextEvent: number | null };
      const facts = await runOperation(call.context, 'message.facts', params);
      return { ...found.message, ...(facts as object), nextEvent: found.nextEvent } as RouteAnswer<'message'>;
    },
    messageHeaders: (call, { params }) => run<'messageHeaders'>(call, 'message.headers', params),
    messageSource: (call, { params }) => sourceResponse(call.context, params.id),
    testMessage: (call, { body }) => run<'testMessage'>(call, 'message.test', body),
  };
}

function queueHandlers(): Part<
  'destinations' | 'queue' | 'retryQueue' | 'holdQueue' | 'releaseQueue' | 'endBackOff' | 'deleteQueue'
> {
  type Action = 'retry' | 'hold' | 'release' | 'delete';
  const act = async (
    call: Call,
    action: Action,
    body: RouteInput<'retryQueue'>['body'],
    more: object = {},
  ) => {
    const { selector, dryRun } = body;
    const count = (await runOperation(call.context, 'queue.count', { selector, action })) as {
      recipients: number;
      messages: number;
    };
    if (dryRun) return count;
    const { recipients } = (await runOperation(call.context, `queue.${action}`, { selector, ...more })) as {
      recipients: number;
    };
    return { recipients, messages: Math.min(count.messages, recipients) };
  };
  return {
    destinations: (call, { query }) => run<'destinations'>(call, 'queue.destinations', query),
    queue: (call, { query }) => run<'queue'>(call, 'queue.messages', query),
    retryQueue: (call, { body }) => act(call, 'retry', body),
    holdQueue: (call, { body }) => act(call, 'hold', body, { stay: body.stay }),
    releaseQueue: (call, { body }) => act(call, 'release', body),
    endBackOff: (call, { body }) => run<'endBackOff'>(call, 'queue.end-back-off', body),
    deleteQueue: (call, { body }) => act(call, 'delete', body, { notice: body.notice }),
  };
}

function directoryHandlers(): Part<
  | 'domains'
  | 'addDomain'
  | 'changeDomain'
  | 'removeDomain'
  | 'accounts'
  | 'account'
  | 'addAccount'
  | 'changeAccount'
  | 'removeAccount'
  | 'accountSignIns'
  | 'aliases'
  | 'addAlias'
  | 'changeAlias'
  | 'removeAlias'
  | 'import'
> {
  return {
    domains: (call, { query }) => run<'domains'>(call, 'domain.list', query),
    addDomain: async (call, { body }) => {
      await runOperation(call.context, 'domain.add', body);
      return run<'addDomain'>(call, 'domain.get', body);
    },
    changeDomain: async (call, { params, body }) => {
      await runOperation(call.context, 'domain.get', params);
      if (body.forward !== undefined) {
        await runOperation(call.context, 'domain.forward', { ...params, to: body.forward ?? 'none' });
      }
      if (body.catchAll !== undefined) {
        await runOperation(call.context, 'domain.catchAll', { ...params, address: body.catchAll ?? 'none' });
      }
      return run<'changeDomain'>(call, 'domain.get', params);
    },
    removeDomain: (call, { params }) => done(call, 'domain.remove', params),
    accounts: (call, { query }) => run<'accounts'>(call, 'account.list', query),
    account: (call, { params }) => run<'account'>(call, 'account.get', params),
    addAccount: (call, { body }) => run<'addAccount'>(call, 'account.add', body),
    changeAccount: async (call, { params, body }) => {
      const { enabled, quota, password, isPostmaster, forward } = body;
      if (quota !== undefined) {
        await runOperation(call.context, 'account.quota', { ...params, quota: quota ?? 'none' });
      }
      if (password !== undefined)
        await runOperation(call.context, 'account.password', { ...params, password });
      if (forward !== undefined) {
        await runOperation(call.context, 'account.forward', { ...params, forward });
      }
      if (isPostmaster === true) await runOperation(call.context, 'account.postmaster', params);
      if (enabled !== undefined) {
        await runOperation(call.context, enabled ? 'account.enable' : 'account.disable', params);
      }
      return run<'changeAccount'>(call, 'account.get', params);
    },
    removeAccount: (call, { params }) => done(call, 'account.remove', params),
    accountSignIns: (call, { params, query }) =>
      run<'accountSignIns'>(call, 'account.signIns', { ...query, ...params }),
    aliases: (call, { query }) => run<'aliases'>(call, 'alias.list', query),
    addAlias: (call, { body }) => run<'addAlias'>(call, 'alias.add', body),
    changeAlias: (call, { params, body }) => run<'changeAlias'>(call, 'alias.set', { ...params, ...body }),
    removeAlias: (call, { params }) => done(call, 'alias.remove', params),
    import: (call, { body }) => run<'import'>(call, 'directory.import', body),
  };
}

function serverHandlers({
  live,
}: HandlerParts): Part<
  | 'status'
  | 'alarms'
  | 'check'
  | 'checkSmtpHost'
  | 'checkOutbound'
  | 'node'
  | 'setHostname'
  | 'traffic'
  | 'live'
> {
  return {
    status: (call) => run<'status'>(call, 'status', {}),
    alarms: (call) => run<'alarms'>(call, 'alarms', {}),
    check: async (call, { body }) => ({
      findings: (await runOperation(call.context, 'check', body)) as RouteAnswer<'check'>['findings'],
    }),
    checkSmtpHost: (call, { body }) => run<'checkSmtpHost'>(call, 'check.smtpHost', body),
    checkOutbound: (call, { body }) => run<'checkOutbound'>(call, 'check.outbound', body),
    node: (call) => run<'node'>(call, 'node.show', {}),
    setHostname: (call, { body }) => run<'setHostname'>(call, 'node.hostname', body),
    traffic: (call, { query }) => run<'traffic'>(call, 'traffic', query),
    live: (call) => live.open(() => call.stillAllowed()),
  };
}

async function done(call: Call, name: string, args: object): Promise<undefined> {
  await runOperation(call.context, name, args);
  return undefined;
}

/** Routes that need somebody are not called without. */
function known(caller: Caller | null): Caller {
  if (caller === null) throw new Error('a route without its caller');
  return caller;
}

function sessionJson({ kind, author, owner, csrf, scopes, session }: Caller, { hostname }: AdminContext) {
  return {
    kind,
    name: owner ?? author,
    hostname,
    csrf,
    scopes: [...scopes],
    idleUntil: session === null ? null : new Date(session.lastSeenAt + SESSION_IDLE_MS).toISOString(),
    expiresAt: session === null ? null : new Date(session.expiresAt).toISOString(),
  };
}

function notANext(): OperationError {
  return new OperationError('after is not the next of a page', 'Start from the first page again.', 2, {
    errors: [{ key: 'after', message: 'it is not the `next` of a page', wouldDo: '' }],
  });
}
