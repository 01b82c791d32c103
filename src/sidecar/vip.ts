/** `VipTable`: a loopback address for each service, the same one whenever it can be: applications keep what they once resolved. */

/** 127.80.0.1 to 127.80.255.254: loopback everywhere, and used by nobody else (127.0.0.0/16 is busy). */
const NETWORK = '127.80';
const HOSTS = 254;
const ADDRESSES = 256 * HOSTS;

export class VipTable {
  readonly #maxServices: number;
  readonly #byService = new Map<string, string>();
  readonly #taken = new Set<number>();

  /** @param maxServices at most; well below the 65,024 addresses there are, so that a free one is near */
  constructor(maxServices: number) {
    this.#maxServices = maxServices;
  }

  get size(): number {
    return this.#byService.size;
  }

  /** The address of `service` (`name.namespace`), made when it has none; undefined when there are too many services. */
  addressOf(service: string): string | undefined {
    const known = this.#byService.get(service);
    if (known !== undefined) return known;
    if (this.#byService.size >= this.#maxServices) return undefined;
    // The place is a hash of the name, so that a restart gives the same address unless two services want one.
    let index = hash(service) % ADDRESSES;
    while (this.#taken.has(index)) index = (index + 1) % ADDRESSES;
    this.#taken.add(index);
    const address = `${NETWORK}.${Math.floor(index / HOSTS)}.${(index % HOSTS) + 1}`;
    this.#byService.set(service, address);
    return address;
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
