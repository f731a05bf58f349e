/** Trying the servers of a route without sending mail: as far as EHLO, then QUIT. */
import { replyText } from '../mail/reply.js';
import { endpointsOf } from './connect.js';
import { openConnection } from './open.js';
/** Longest wait for each reply: somebody sits and waits for what a queue may wait minutes for. */
const LONGEST_WAIT_MS = 30_000;
/**
 * Calls every address that mail by this route would be tried at, all at once (10 at most), with the TLS rules
 * of the route. No one signs in. Never rejects.
 */
export function reachServers(route, options) {
    return Promise.all(endpointsOf(route).map((endpoint) => reach(endpoint, options)));
}
async function reach(endpoint, { hostname, settings }) {
    const startedAt = performance.now();
    const patience = withShortWaits(settings);
    const opened = await openConnection({
        endpoint: { ...endpoint, credentials: null },
        hostname,
        settings: () => patience,
        signal: new AbortController().signal,
    });
    const { host: name, port, address } = endpoint;
    const durationMs = Math.round(performance.now() - startedAt);
    const base = { name, port, address, durationMs };
    if (!opened.ok) {
        const { kind, reply, text } = opened.problem;
        const why = reply === null ? text : `${text}: ${replyText(reply)}`;
        const stage = opened.trials.at(-1)?.stage ?? 'connect';
        const nothing = { greeting: null, tls: null, tlsFailure: null, sizeBytes: null, extensions: [] };
        return { ...base, ready: false, stage, ...nothing, failure: { kind, text: why } };
    }
    const { connection, trials } = opened;
    const { greeting, extensions } = connection.session;
    const { secured } = connection;
    connection.quit();
    return {
        ...base,
        ready: true,
        stage: 'ready',
        greeting: greeting === null ? null : replyText(greeting),
        tls: secured && { version: secured.version, verified: secured.verified, problem: secured.problem },
        tlsFailure: trials.at(-1)?.reply ?? null,
        sizeBytes: sizeOf(extensions.get('SIZE')),
        extensions: [...extensions].map(([keyword, parameters]) => `${keyword} ${parameters}`.trim()),
        failure: null,
    };
}
function withShortWaits(settings) {
    const { greetingMs, ehloMs, tlsMs } = settings.timeouts;
    const timeouts = {
        ...settings.timeouts,
        greetingMs: Math.min(greetingMs, LONGEST_WAIT_MS),
        ehloMs: Math.min(ehloMs, LONGEST_WAIT_MS),
        tlsMs: Math.min(tlsMs, LONGEST_WAIT_MS),
    };
    return { ...settings, timeouts };
}
function sizeOf(parameter) {
    return parameter !== undefined && /^\d{1,15}$/.test(parameter) ? Number(parameter) : null;
}
