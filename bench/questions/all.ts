/** Every question, in the order they are asked. */
import type { Question } from '../kit/question.ts';
import { P1 } from './p1-throughput.ts';
import { P2 } from './p2-bun.ts';
import { P3 } from './p3-field.ts';
import { P4 } from './p4-latency.ts';
import { P5 } from './p5-download.ts';
import { P6 } from './p6-relay.ts';
import { P7 } from './p7-beside-bulk.ts';
import { P8 } from './p8-idle-hub.ts';
import { P9 } from './p9-hub-restart.ts';
import { P10 } from './p10-fan-out.ts';
import { P11 } from './p11-handshakes.ts';
import { P12 } from './p12-idle-sidecar.ts';
import { P13 } from './p13-growth.ts';
import { P14 } from './p14-workers.ts';

export const QUESTIONS: readonly Question[] = [P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14];
