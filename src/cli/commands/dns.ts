import type { Command } from 'commander';
import { type CliSession, read } from '../session.ts';

interface DnsRecords {
  readonly records: readonly {
    readonly name: string;
    readonly type: string;
    readonly value: string;
    /** What to know before it is published. */
    readonly note?: string;
  }[];
}

/** `dns show`: the records a hosted domain wants, in the form of a zone file. */
export function addDnsCommands(program: Command, session: CliSession): void {
  program
    .command('dns')
    .description('DNS records of hosted domains')
    .command('show <domain>')
    .description('print the records by which servers and mail programs find this one')
    .option('--json', 'as JSON')
    .action(async (domain: string, _, command: Command) => {
      await read<DnsRecords>(session, command, 'dns.show', { domain }, ({ records }) =>
        records
          .map(({ name, type, value, note }) => {
            const line = `${name} 3600 IN ${type} ${value}\n`;
            return note === undefined ? line : `; ${note}\n${line}`;
          })
          .join(''),
      );
    });
}
