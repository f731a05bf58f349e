/** The log: JSON lines on standard error. Secrets and passwords are never given to it. */
import { destination, pino } from 'pino';
/** `CMAIL_LOG_LEVEL` chooses info (default), warn, error or silent. */
export function createLog(level = process.env.CMAIL_LOG_LEVEL ?? 'info') {
    const known = ['info', 'warn', 'error', 'silent'].includes(level) ? level : 'info';
    const logger = pino({ level: known, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination({ dest: 2, sync: false }));
    return (severity, message, fields) => logger[severity](fields ?? {}, message);
}
/** For commands that run without a server: only what went wrong. */
export function quietLog() {
    return createLog('error');
}
