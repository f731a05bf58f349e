/** Talking to real sockets: TLS, AUTH, the SMTP host's alarms, waits, and the bytes held. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { before, describe, it, type TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { readFile } from 'node:fs/promises';
import { dial } from '../../src/sending/connect.ts';
import { PeerConnection } from '../../src/sending/talk.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { startFullBacklog } from '../support/full-backlog.ts';
import { requireTool } from '../support/require.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeSettings, makeWorld, route, smtpHostRoute } from './sending-world.ts';

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script);
  t.after(() => started.close());
  return started;
}

/** One set for all tests of this file; its CA is trusted by this process only. */
let certificates: Certificates | null = null;

async function trusted(t: TestContext): Promise<Certificates | null> {
  if (!requireTool(t, 'openssl')) return null;
  if (certificates !== null) return certificates;
  certificates = await makeCertificates({ after: (clean) => before(clean) }, ['relay.test', '127.0.0.1']);
  return certificates;
}
