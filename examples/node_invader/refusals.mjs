/** Refusals: what the client is told, and how gRPC carries it. */

import { Metadata, status } from '@grpc/grpc-js';

import { BadRequest, ErrorInfo, Status } from './schema.mjs';

const MAX_CHARACTERS = 120;
const PUSHBACK_MS = 500;

/** A call that is refused: a status code, a reason, and the field at fault where there is one. */
export class Refusal extends Error {
  constructor(message, { code, reason, violation = null, pushbackMs = null }) {
    super(message);
    Object.assign(this, { code, reason, violation, pushbackMs });
  }
}

export function invalidArgument(field, expected, got) {
  return atFault(status.INVALID_ARGUMENT, 'INVALID_ARGUMENT', field, expected, got);
}

export function notFound(field, expected, got) {
  return atFault(status.NOT_FOUND, 'NOT_FOUND', field, expected, got);
}

export function busy(most) {
  return new Refusal(`expected at most ${most} calls at a time; ask again in ${PUSHBACK_MS} ms`, {
    code: status.RESOURCE_EXHAUSTED,
    reason: 'BUSY',
    pushbackMs: PUSHBACK_MS,
  });
}

export function tooSlow(seconds) {
  return new Refusal(`expected an image that takes at most ${seconds} s, waiting included`, {
    code: status.DEADLINE_EXCEEDED,
    reason: 'TOO_SLOW',
  });
}

/** A value that came, as short as an error may repeat it, and escaped: not every string can be a gRPC message. */
export function shown(value) {
  const whole = String(value);
  return JSON.stringify(whole.length > MAX_CHARACTERS ? `${whole.slice(0, MAX_CHARACTERS)}...` : whole);
}

/** What grpc-js ends a call with. */
export function statusOf({ message, code, reason, violation, pushbackMs }) {
  const details = [packed(ErrorInfo, { reason, domain: 'deid' })];
  if (violation) details.push(packed(BadRequest, { field_violations: [violation] }));
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Status.serialize({ code, message, details }));
  if (pushbackMs !== null) metadata.set('grpc-retry-pushback-ms', String(pushbackMs));
  return { code, details: message, metadata };
}

function atFault(code, reason, field, expected, got) {
  const description = `expected ${expected}, got ${got}`;
  return new Refusal(`${field}: ${description}`, { code, reason, violation: { field, description } });
}

function packed(type, message) {
  return { type_url: `type.googleapis.com/google.rpc.${type.type.name}`, value: type.serialize(message) };
}
