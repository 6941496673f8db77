/**
 * Door to the Open Inference Protocol v2: what boxes and hub speak as its servers, and boxes as its clients. Apart from
 * the other doors because it reads and writes bytes with what only Node has.
 * @module
 */
export * from './oip-server.ts'
export * from './oip-wire.ts'
export * from './tensor.ts'
