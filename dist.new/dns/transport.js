/** One query to one server by UDP or TCP. Never rejects. */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
/** Keeps time and cancellation around a socket. `start` returns what closes the socket. */
function run(exchange, start) {
    return new Promise((resolve) => {
        let done = false;
        const finish = (reading) => {
            if (done)
                return;
            done = true;
            clearTimeout(timer);
            exchange.cancels.delete(cancel);
            closeSocket();
            resolve(reading);
        };
        const cancel = () => finish({ kind: 'problem', text: 'was not waited for: the resolver was closed' });
        const timer = setTimeout(() => {
            const text = `timed out after ${Math.round(exchange.timeoutMs)} ms`;
            finish({ kind: 'problem', text, silent: true });
        }, exchange.timeoutMs);
        exchange.cancels.add(cancel);
        const fail = (error) => finish({ kind: 'problem', text: `is out of reach (${error.message})`, silent: true });
        const closeSocket = start({ finish, fail });
    });
}
/**
 * Asks by UDP from a new socket, so that each query has a source port of its own (RFC 5452 §9.2). The socket
 * is connected: datagrams of others never arrive and "port unreachable" does.
 */
export function exchangeUdp(exchange) {
    return run(exchange, ({ finish, fail }) => {
        const { server, query, read } = exchange;
        const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
        socket.on('error', fail);
        socket.on('message', (bytes) => {
            const reading = read(bytes);
            if (reading.kind !== 'stray')
                finish(reading);
        });
        socket.on('connect', () => {
            socket.send(query, (error) => {
                if (error)
                    fail(error);
            });
        });
        socket.connect(server.port, server.address);
        return () => socket.close();
    });
}
/** Asks by TCP (RFC 7766), one query a connection. */
export function exchangeTcp(exchange) {
    return run(exchange, ({ finish, fail }) => {
        const { server, query, read } = exchange;
        const socket = connect({ host: server.address, port: server.port, noDelay: true });
        // At most two length bytes and the 65,535 they can announce are waited for.
        const parts = [];
        let receivedBytes = 0;
        socket.on('error', fail);
        socket.on('connect', () => {
            const length = Buffer.alloc(2);
            length.writeUInt16BE(query.length);
            socket.write(Buffer.concat([length, query]));
        });
        socket.on('data', (part) => {
            parts.push(part);
            receivedBytes += part.length;
            if (receivedBytes < 2)
                return;
            const bytes = parts.length === 1 ? part : Buffer.concat(parts);
            parts.splice(0, parts.length, bytes);
            const endBytes = 2 + bytes.readUInt16BE(0);
            if (bytes.length < endBytes)
                return;
            const reading = read(bytes.subarray(2, endBytes));
            finish(reading.kind === 'stray' || reading.kind === 'truncated'
                ? { kind: 'problem', text: 'sent an answer by TCP that does not fit the question' }
                : reading);
        });
        socket.on('close', () => fail(new Error('the TCP connection was closed')));
        return () => socket.destroy();
    });
}
