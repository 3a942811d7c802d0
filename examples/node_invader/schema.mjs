/** The schema: services, and messages that are read and written by hand. */

import { fileURLToPath } from 'node:url';

import { loadSync } from '@grpc/proto-loader';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PROTOS = fileURLToPath(new URL('../../protos', import.meta.url));

const loaded = loadSync(['deid/invader/v1/invader.proto', 'google_rpc.proto'], {
  includeDirs: [PROTOS, HERE],
  keepCase: true,
  defaults: true,
  enums: Number, // a region that is not known stays a number, and can be refused
  longs: BigInt,
});

export const InvaderService = loaded['deid.invader.v1.InvaderService'];
export const Status = loaded['google.rpc.Status'];
export const ErrorInfo = loaded['google.rpc.ErrorInfo'];
export const BadRequest = loaded['google.rpc.BadRequest'];

export const INVADER = 'deid.invader.v1.InvaderService';
export const REGION_FULL = 2;
export const DISCLOSURE_PROBABILITIES = 3;
