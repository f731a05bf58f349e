/** What each kind of BEHAVIOUR.md "When MX fails" leads to when nothing steps in. */
const KINDS = {
    'no-answer': { status: '4.4.3', action: 'retry' },
    nxdomain: { status: '5.1.2', action: 'confirm' },
    'no-address': { status: '5.4.4', action: 'confirm' },
    unreachable: { status: '4.4.1', action: 'retry' },
    self: { status: '5.4.6', action: 'notice' },
};
/** The five kinds, in the order of the table. */
export const ROUTE_FAILURE_KINDS = Object.keys(KINDS);
/** A failure of one of the five kinds, found in DNS or by dialling. */
export function routeFailure(kind, text) {
    return { kind, ...KINDS[kind], text };
}
