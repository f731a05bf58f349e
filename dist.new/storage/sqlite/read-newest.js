/** Rows looked at in each table: the last ones written need not bear the latest time if the clock went back. */
const LATEST = 1_000;
/** The newest time among the latest messages and changes of settings; null when there are none. */
export function newestTime(db) {
    const row = db
        .prepare(`SELECT max(at) AS newest FROM (
        SELECT * FROM (SELECT received_at AS at FROM message ORDER BY id DESC LIMIT ?1)
        UNION ALL SELECT * FROM (SELECT at FROM setting_change ORDER BY n DESC LIMIT ?1))`)
        .get(LATEST);
    return typeof row?.newest === 'number' ? row.newest : null;
}
