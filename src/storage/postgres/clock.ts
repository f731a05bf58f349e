/** The database's clock, by which all nodes' leases run: ms since 1970. */
export const NOW = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';
