/** From an endpoint to a connection that is ready for messages, with the TLS rules of its kind of route. */
import { replyText } from '../mail/reply.js';
import { SenderSession } from '../smtp/sender-session.js';
import { dial, isLoopback } from './connect.js';
import { PeerConnection } from './talk.js';
/**
 * Dials and greets. Where TLS is only welcome and fails, the server is called once more in clear (RFC 7435);
 * each call is a trial.
 */
export async function openConnection(request) {
    const first = await call(request, request.endpoint.tls);
    if (first.ok || first.problem.kind !== 'tls-failed' || request.endpoint.tls !== 'opportunistic')
        return first;
    const again = await call(request, 'none');
    return { ...again, trials: [...first.trials, ...again.trials] };
}
async function call({ endpoint, hostname, settings, signal }, tls) {
    const startedAt = performance.now();
    const failed = (problem, secured) => {
        const stage = problem.kind === 'not-greeted' && problem.phase === 'ended' ? 'connect' : problem.phase;
        const reply = problem.reply === null ? problem.text : replyText(problem.reply);
        return { ok: false, problem, trials: [makeTrial(endpoint, stage, secured, reply, startedAt)] };
    };
    const dialled = await dial({ endpoint, timeoutMs: settings().socketTimeoutMs, signal });
    if (!dialled.ok) {
        const kind = dialled.tls ? 'tls-failed' : 'not-greeted';
        return failed({ kind, phase: 'ended', reply: null, text: dialled.reason }, null);
    }
    const session = new SenderSession({
        hostname,
        refuseSelf: endpoint.via !== 'forward',
        tls,
        secure: dialled.secure,
        credentials: endpoint.credentials,
        loopback: isLoopback(endpoint.address),
    });
    const connection = new PeerConnection({
        socket: dialled.socket,
        session,
        host: endpoint.host,
        secure: dialled.secure,
        settings,
    });
    const onStop = () => connection.destroy('The server is stopping');
    signal.addEventListener('abort', onStop);
    const problem = await connection.open();
    signal.removeEventListener('abort', onStop);
    return problem === null ? { ok: true, connection, trials: [] } : failed(problem, connection.tls);
}
export function makeTrial(endpoint, stage, tls, reply, startedAt) {
    const { host, port, address } = endpoint;
    return { host, port, address, stage, tls, reply, durationMs: Math.round(performance.now() - startedAt) };
}
