/** gRPC's side of the service: messages in and out, refusals as statuses, and faults as incidents. */

import { randomUUID } from 'node:crypto';

import { Metadata, status } from '@grpc/grpc-js';
import { service as Health } from 'grpc-health-check';

import { invalidArgument, Refusal, statusOf } from './refusals.mjs';
import { INVADER, InvaderService } from './schema.mjs';

/** Adds the invader to a server. */
export function addInvader(server, invader) {
  // Requests come as bytes: of those that are no message the library would tell its own exception.
  const requestDeserialize = (bytes) => bytes;
  const raw = Object.entries(InvaderService).map(([name, method]) => [name, { ...method, requestDeserialize }]);
  const offered = new Metadata();
  offered.set('deid-models-digest', invader.modelsDigest);
  server.addService(Object.fromEntries(raw), {
    ListTargetModels: unary(InvaderService.ListTargetModels, () => invader.listTargetModels(), offered),
    ListIdentities: unary(InvaderService.ListIdentities, (request) => invader.listIdentities(request)),
    Classify: unary(InvaderService.Classify, (request, signal) => invader.classify(request, signal), offered),
  });
}

/** Adds the standard health service, of which `Check` is asked; `serving` says how things are. */
export function addHealth(server, serving) {
  server.addService(Health, {
    check({ request: { service } }, callback) {
      if (service === '' || service === INVADER) callback(null, { status: serving() ? 'SERVING' : 'NOT_SERVING' });
      else callback({ code: status.NOT_FOUND, details: 'service: expected one that is served here' });
    },
  });
}

function unary({ requestDeserialize }, answer, metadata = null) {
  return async (call, callback) => {
    const abandoned = new AbortController();
    call.on('cancelled', () => abandoned.abort()); // by the client, or by its deadline
    try {
      const response = await answer(parsed(requestDeserialize, call.request), abandoned.signal);
      if (metadata) call.sendMetadata(metadata);
      callback(null, response);
    } catch (error) {
      callback(error instanceof Refusal ? statusOf(error) : incident(error, abandoned.signal));
    }
  };
}

function parsed(deserialize, bytes) {
  try {
    return deserialize(bytes);
  } catch {
    throw invalidArgument('request', 'a message of the schema', 'other bytes');
  }
}

function incident(error, abandoned) {
  if (abandoned.aborted) return { code: status.CANCELLED, details: 'cancelled' };
  const id = randomUUID();
  console.error(`incident ${id}:`, error);
  return { code: status.INTERNAL, details: `internal error, incident ${id}` };
}
