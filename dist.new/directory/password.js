/** Passwords at rest: argon2id (RFC 9106) in PHC string form, computed off the event loop. */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
const MEMORY_KIB = 19 * 1024;
const PASSES = 2;
const PARALLELISM = 1;
const TAG_BYTES = 32;
const SALT_BYTES = 16;
/** Each takes 19 MiB and a thread of the pool that disk and DNS also use. */
const AT_ONCE = 2;
const MAX_WAITING = 100;
/** Longest password hashed; longer ones never match. */
export const MAX_PASSWORD_BYTES = 1024;
/** Too many passwords wait to be checked; try again later. */
export class PasswordBusyError extends Error {
    constructor() {
        super('too many passwords are being checked at once');
        this.name = 'PasswordBusyError';
    }
}
let running = 0;
const waiting = [];
/** PHC string `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. Rejects with `PasswordBusyError`. */
export async function hashPassword(plain) {
    const bytes = Buffer.from(plain, 'utf8');
    if (bytes.length > MAX_PASSWORD_BYTES)
        throw new RangeError(`a password has at most ${MAX_PASSWORD_BYTES} bytes`);
    const salt = randomBytes(SALT_BYTES);
    const parameters = { memoryKib: MEMORY_KIB, passes: PASSES, parallelism: PARALLELISM };
    const tag = await derive(bytes, salt, parameters, TAG_BYTES);
    return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${PARALLELISM}$${phc(salt)}$${phc(tag)}`;
}
/** Whether the password is that of the PHC string; false for one that is not ours. Rejects with `PasswordBusyError`. */
export async function verifyPassword(plain, phcString) {
    const match = /^\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{22,128})$/.exec(phcString);
    const bytes = Buffer.from(plain, 'utf8');
    if (!match || bytes.length > MAX_PASSWORD_BYTES)
        return false;
    const parameters = { memoryKib: Number(match[1]), passes: Number(match[2]), parallelism: Number(match[3]) };
    if (!affordable(parameters))
        return false;
    const expected = Buffer.from(match[5] ?? '', 'base64');
    const tag = await derive(bytes, Buffer.from(match[4] ?? '', 'base64'), parameters, expected.length);
    return timingSafeEqual(tag, expected);
}
/** A stored string must not be able to take all memory. RFC 9106 §3.1 asks for 8 KiB a lane. */
function affordable({ memoryKib, passes, parallelism }) {
    if (passes < 1 || passes > 10 || parallelism < 1 || parallelism > 8)
        return false;
    return memoryKib >= 8 * parallelism && memoryKib <= 256 * 1024;
}
function phc(bytes) {
    return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
async function derive(message, nonce, parameters, tagLength) {
    await turn();
    try {
        return await new Promise((resolve, reject) => {
            const { memoryKib: memory, passes, parallelism } = parameters;
            argon2('argon2id', { message, nonce, memory, passes, parallelism, tagLength }, (error, tag) => error ? reject(error) : resolve(tag));
        });
    }
    finally {
        const next = waiting.shift();
        // The place is handed to the one who waits, so `running` stays.
        if (next)
            next();
        else
            running -= 1;
    }
}
function turn() {
    if (running < AT_ONCE) {
        running += 1;
        return Promise.resolve();
    }
    if (waiting.length >= MAX_WAITING)
        return Promise.reject(new PasswordBusyError());
    return new Promise((resolve) => waiting.push(resolve));
}
