/** Opening a connection: which addresses of a route to dial, and dialling one. */
import { connect, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describeError } from '../mail/failure.js';
const MAX_HOSTS = 5;
const MAX_ADDRESSES = 10;
/** The addresses of a route in the order to try them: 5 hosts and 10 addresses at most. */
export function endpointsOf(route) {
    const tls = route.smtpHost?.tls ?? 'opportunistic';
    const username = route.smtpHost?.username ?? '';
    const credentials = username === '' ? null : { username, password: route.smtpHost?.password ?? '' };
    const endpoints = [];
    for (const { name, port, preference, addresses } of route.hosts.slice(0, MAX_HOSTS)) {
        // As entered, so that alarms about it are found again by the setting.
        const host = route.smtpHost?.name ?? name;
        for (const address of addresses) {
            const key = JSON.stringify([route.via, host, address, port, tls, credentials]);
            endpoints.push({ via: route.via, host, port, address, preference, tls, credentials, key });
        }
    }
    return endpoints.slice(0, MAX_ADDRESSES);
}
export function isLoopback(address) {
    return /^(?:::ffff:)?127\./i.test(address) || address === '::1';
}
/** Opens a connection to one address. Never rejects. */
export async function dial({ endpoint, timeoutMs, signal }) {
    if (signal.aborted)
        return { ok: false, reason: 'The server is stopping', tls: false };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const socket = connect({ host: endpoint.address, port: endpoint.port, noDelay: true });
    const refused = await settled(socket, 'connect', limit, `timed out after ${timeoutMs / 1000} s`);
    if (refused !== null)
        return { ok: false, reason: refused, tls: false };
    if (endpoint.tls !== 'implicit')
        return { ok: true, socket, secure: null };
    const secured = await startTls(socket, endpoint.host, limit);
    return secured.ok ? secured : { ok: false, reason: secured.reason, tls: true };
}
/** The TLS handshake on an open connection, with any certificate. */
export async function startTls(socket, host, limit) {
    const servername = isIP(host) === 0 ? host : undefined;
    // What happens to the plain socket from here on shows on the secured one.
    socket.on('error', () => undefined);
    const secured = connectTls({ socket, host, servername, rejectUnauthorized: false });
    const failed = await settled(secured, 'secureConnect', limit, 'TLS handshake timed out');
    if (failed !== null) {
        socket.destroy();
        return { ok: false, reason: failed };
    }
    const verified = secured.authorized;
    const version = secured.getProtocol() ?? 'TLS';
    const text = `${version} ${verified ? 'verified' : 'unverified'}`;
    const problem = verified ? null : describeError(secured.authorizationError);
    return { ok: true, socket: secured, secure: { verified, text, version, problem } };
}
const CONNECTION_WORDS = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'network unreachable',
    ETIMEDOUT: 'timed out',
};
/** The system's codes in words, for timelines and notices; address and port stand beside them anyway. */
function connectionWords(error) {
    return CONNECTION_WORDS[error.code ?? ''] ?? describeError(error);
}
/** Waits for `event`; null when it came, otherwise why not, and the socket is destroyed. */
function settled(socket, event, limit, late) {
    return new Promise((resolve) => {
        const finish = (reason) => {
            socket.off(event, onEvent);
            socket.off('error', onError);
            socket.off('close', onClose);
            limit.removeEventListener('abort', onAbort);
            if (reason !== null) {
                // A destroyed socket may still report what it died of, and nobody listens any more.
                socket.on('error', () => undefined);
                socket.destroy();
            }
            resolve(reason);
        };
        const onEvent = () => finish(null);
        const onError = (error) => finish(connectionWords(error));
        const onClose = () => finish('connection closed');
        const onAbort = () => finish(late);
        socket.on(event, onEvent);
        socket.on('error', onError);
        socket.on('close', onClose);
        limit.addEventListener('abort', onAbort);
        if (limit.aborted)
            onAbort();
    });
}
