/** A server that is kept waiting longer may well close, and its slot is wanted. */
const IDLE_MS = 2_000;
const MAX_MESSAGES = 100;
const MAX_IDLE = 50;
export class ConnectionPool {
    /** Oldest first. */
    #idle = [];
    get size() {
        return this.#idle.length;
    }
    /** A connection to one of these, with the endpoint it goes to. */
    take(endpoints) {
        for (const endpoint of endpoints) {
            for (;;) {
                const found = this.#idle.findIndex((idle) => idle.key === endpoint.key);
                const [idle] = found < 0 ? [] : this.#idle.splice(found, 1);
                if (idle === undefined)
                    break;
                clearTimeout(idle.timer);
                if (idle.connection.usable)
                    return { endpoint, connection: idle.connection };
            }
        }
        return null;
    }
    /** Keeps a connection for the next message, or ends it when it has had its share. */
    give(endpoint, connection) {
        if (!connection.usable || connection.messages >= MAX_MESSAGES) {
            connection.quit();
            return;
        }
        if (this.#idle.length >= MAX_IDLE)
            this.dropOldest();
        const timer = setTimeout(() => this.#drop(connection), IDLE_MS);
        this.#idle.push({ key: endpoint.key, connection, timer });
    }
    dropOldest() {
        const oldest = this.#idle[0];
        if (oldest !== undefined)
            this.#drop(oldest.connection);
    }
    close() {
        while (this.#idle.length > 0)
            this.dropOldest();
    }
    #drop(connection) {
        const found = this.#idle.findIndex((idle) => idle.connection === connection);
        const [idle] = found < 0 ? [] : this.#idle.splice(found, 1);
        if (idle === undefined)
            return;
        clearTimeout(idle.timer);
        connection.quit();
    }
}
