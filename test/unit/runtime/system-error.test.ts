import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explainHttpStatus } from '../../../src/runtime/common/http-status.ts';
import { explainSystemError, systemErrorCode } from '../../../src/runtime/node/system-error.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

describe('explainSystemError', () => {
  it('says what a code means and what to do', () => {
    const { state, remedy } = explainSystemError(systemError('ECONNREFUSED'));
    assert.equal(state, 'connection refused');
    assert.match(remedy, /^Check /);
  });

  it('looks into causes and into several attempts', () => {
    assert.equal(systemErrorCode(new Error('fetch failed', { cause: systemError('ENOTFOUND') })), 'ENOTFOUND');
    const attempts = new AggregateError([systemError('ENETUNREACH'), systemError('ECONNREFUSED')]);
    assert.equal(systemErrorCode(attempts), 'ENETUNREACH');
  });

  it("knows Bun's names", () => assert.equal(systemErrorCode(systemError('ConnectionRefused')), 'ECONNREFUSED'));

  it('names what Deno does not allow, and the flag for it', () => {
    const said = 'Requires write access to "/var/lib/hub", run again with the --allow-write flag';
    const denial = Object.assign(new Error(said), { name: 'NotCapable' });
    const { state, remedy } = explainSystemError(denial);
    assert.equal(state, 'Deno does not allow write access to "/var/lib/hub"');
    assert.match(remedy, /^Run it again with --allow-write\./);
    assert.equal(explainSystemError(Object.assign(new Error('no'), { name: 'NotCapable' })).state, 'no');
  });

  it('hands on what it does not know', () => {
    assert.equal(explainSystemError(systemError('ESTRANGE')).state, 'connect ESTRANGE');
    assert.equal(explainSystemError('text').state, 'text');
    assert.equal(systemErrorCode(undefined), undefined);
    assert.equal(systemErrorCode(new Error('plain')), undefined);
  });
});

describe('explainHttpStatus', () => {
  for (const [status, text] of [
    [401, 'authentication required (401)'],
    [404, 'nothing there (404)'],
    [308, 'redirected (308)'],
    [418, 'no WebSocket there (418)'],
  ] as const) {
    it(`explains ${status}`, () => assert.equal(explainHttpStatus(status).state, text));
  }
});
