/** Which ports mail programs are told. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { mailServicePorts } from '../../src/admin/mail-services.ts';

it('a listener on loopback has something with the usual port in front of it', () => {
  const listeners = {
    submissions: ['127.0.0.1:2465'],
    submission: ['[::1]:2587'],
    pop3s: ['127.0.0.1:2995', '[::1]:2995'],
  };
  assert.deepEqual(mailServicePorts(listeners, {}), {
    submissions: 465,
    submission: 587,
    pop3s: 995,
    pop3: null,
  });
});

it('any other listener is reached at its own port, the usual one first', () => {
  const listeners = {
    submissions: ['0.0.0.0:8465', '192.0.2.1:465'],
    submission: ['127.0.0.1:587', '192.0.2.1:2587'],
    pop3s: ['[::]:9995'],
    pop3: [],
  };
  assert.deepEqual(mailServicePorts(listeners, {}), {
    submissions: 465,
    submission: 2587,
    pop3s: 9995,
    pop3: null,
  });
});

it('[public] is right whatever the listeners are', () => {
  const listeners = { submissions: ['0.0.0.0:2465'], pop3s: ['0.0.0.0:2995'] };
  assert.deepEqual(mailServicePorts(listeners, { submissions: 465, pop3: 8110 }), {
    submissions: 465,
    submission: null,
    pop3s: 2995,
    pop3: 8110,
  });
});
