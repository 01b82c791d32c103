/** What members that follow each other in one process, each for one request, leave to the next: tickets, and what they called. */

import { TicketBook } from '../auth/resume-tickets.ts';
import type { Clock } from '../core/clock.ts';

export class MemberMemory {
  /** By which hubs and peers know the next one. */
  readonly tickets: TicketBook;
  /** The next one asks for these with its first message, and waits for no answer of its own. */
  readonly services = new Set<string>();

  constructor(clock: Clock) {
    this.tickets = new TicketBook(clock);
  }
}
