/** What the routes of an account's owner do. The account is always that of the session, never one that is named. */
import { runOperation } from '../operations.ts';
import { accountSubject } from '../second-factor.ts';
import type { Call, HandlerParts, Handlers } from './handlers.ts';
import { HttpProblem } from './problem.ts';
import type { RouteAnswer, RouteName } from './routes.ts';
import type { ME_ROUTES } from './routes-me.ts';
import { removedCookie } from './sessions.ts';

export function meHandlers({ sessions }: HandlerParts): Pick<Handlers, keyof typeof ME_ROUTES> {
  const own = (call: Call) => accountSubject(ownAddress(call));
  const counted = <T>(call: Call, work: () => Promise<T>) =>
    sessions.counted(own(call).name, call.origin, work);
  return {
    me: (call) => run<'me'>(call, 'me.show', {}),
    setMyPassword: (call, { body }) => done(call, 'me.password', body),
    endMySessions: async (call) => {
      await done(call, 'me.endSessions', {});
      call.header('set-cookie', removedCookie(call.origin.secure));
      return undefined;
    },
    mySignIns: (call) => run<'mySignIns'>(call, 'account.signIns', { address: ownAddress(call) }),
    myAppPasswords: (call, { query }) =>
      run<'myAppPasswords'>(call, 'account.appPassword.list', { ...query, address: ownAddress(call) }),
    addMyAppPassword: (call, { body }) =>
      run<'addMyAppPassword'>(call, 'account.appPassword.add', { ...body, address: ownAddress(call) }),
    revokeMyAppPassword: (call, { params }) =>
      done(call, 'account.appPassword.revoke', { ...params, address: ownAddress(call) }),
    mySecondFactor: (call) => run<'mySecondFactor'>(call, 'secondFactor.state', { subject: own(call) }),
    beginMySecondFactor: (call, { body }) =>
      counted(call, () =>
        run<'beginMySecondFactor'>(call, 'secondFactor.begin', { subject: own(call), ...body }),
      ),
    confirmMySecondFactor: (call, { body }) =>
      run<'confirmMySecondFactor'>(call, 'secondFactor.turnOn', { subject: own(call), ...body }),
    turnOffMySecondFactor: (call, { body }) =>
      counted(call, () => done(call, 'secondFactor.turnOff', { subject: own(call), ...body })),
    setMyForward: async (call, { body }) => {
      await done(call, 'account.forward', { ...body, address: ownAddress(call) });
      return run<'setMyForward'>(call, 'me.show', {});
    },
    myMessages: (call, { query }) => run<'myMessages'>(call, 'me.messages', query),
    myMessage: (call, { params }) => run<'myMessage'>(call, 'me.message', params),
  };
}

function ownAddress({ context }: Call): string {
  if (context.owner !== null) return context.owner;
  throw new HttpProblem({ status: 403, detail: 'this is for the owner of an account' });
}

function run<N extends RouteName>(call: Call, name: string, args: object): Promise<RouteAnswer<N>> {
  return runOperation(call.context, name, args) as Promise<RouteAnswer<N>>;
}

async function done(call: Call, name: string, args: object): Promise<undefined> {
  await runOperation(call.context, name, args);
  return undefined;
}
