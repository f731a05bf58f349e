import { userInfo } from 'node:os';
/** The system user at the command line, for the history of settings; 100 characters at most. */
export function systemAuthor() {
    try {
        return userInfo().username.slice(0, 100);
    }
    catch {
        // No entry in the password file: the number is all there is.
        return `uid ${process.getuid?.() ?? 'unknown'}`;
    }
}
