/** Every question, in the order they are asked. */
import type { Question } from '../kit/question.ts';
import { P1 } from './p1-throughput.ts';

export const QUESTIONS: readonly Question[] = [P1];
