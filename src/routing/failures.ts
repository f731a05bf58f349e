import type { RouteFailureKind } from '../settings/values.ts';
import type { RouteFailure } from './contract.ts';

/** What each kind of BEHAVIOUR.md "When MX fails" leads to when nothing steps in. */
const KINDS: Readonly<Record<RouteFailureKind, Pick<RouteFailure, 'status' | 'action'>>> = {
  'no-answer': { status: '4.4.3', action: 'retry' },
  nxdomain: { status: '5.1.2', action: 'confirm' },
  'no-address': { status: '5.4.4', action: 'confirm' },
  unreachable: { status: '4.4.1', action: 'retry' },
  self: { status: '5.4.6', action: 'notice' },
};

/** The five kinds, in the order of the table. */
export const ROUTE_FAILURE_KINDS = Object.keys(KINDS) as readonly RouteFailureKind[];

/** A failure of one of the five kinds, found in DNS or by dialling. */
export function routeFailure(kind: RouteFailureKind, text: string): RouteFailure {
  return { kind, ...KINDS[kind], text };
}
