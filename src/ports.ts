/** What a runtime, an application or a test lends the mesh, as types: the platform, and the ports it is made of. */

export type { ByteSink, ByteStream } from './core/byte-stream.ts';
export type { Bytes } from './core/bytes.ts';
export type { Clock, Timer } from './core/clock.ts';
export type { LogFields, Logger, LogLevel } from './core/log.ts';
export type * from './core/platform.ts';
export type { Random } from './core/random.ts';
export type { DecodeLatin1 } from './core/text.ts';
