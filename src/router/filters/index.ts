/** The filters of a rule or of a backend, compiled: those before the route, and those before each attempt. */

import {
  DIRECT_RESPONSE,
  EXTENSION_GROUP,
  type Extension,
  FAULT_INJECTION,
  MIDDLEWARE,
} from '../../catalog/extension.ts';
import type { ExtensionRef, HttpFilter } from '../../catalog/http-filter.ts';
import { toServiceKey } from '../../catalog/reference.ts';
import { SERVICE_PORT, toDestination } from '../destination.ts';
import { createCors } from './cors.ts';
import { createDirectResponse } from './direct-response.ts';
import { createFault } from './fault.ts';
import type { Filter } from './filter.ts';
import { createRequestHeaderModifier, createResponseHeaderModifier } from './header-modifier.ts';
import { createMiddleware, createMissing } from './middleware.ts';
import { createMirror } from './mirror.ts';
import { createRedirect } from './redirect.ts';
import { createUrlRewrite } from './url-rewrite.ts';

export interface FilterSet {
  /** In the order of the list. */
  readonly request: readonly Filter[];
  /** Faults, which belong to the endpoint's side. */
  readonly attempt: readonly Filter[];
}

/** Finds what an ExtensionRef refers to, in the namespace of the route. */
export type FindExtension = (kind: string, namespace: string, name: string) => Extension | undefined;

export interface FilterPlace {
  readonly namespace: string;
  /** The prefix that the rule matches, if it is the only match. */
  readonly prefix: string;
  readonly find: FindExtension;
  /** May the route send anything to this service? */
  readonly permits: (service: string) => boolean;
}

export function compileFilters(filters: readonly HttpFilter[], place: FilterPlace): FilterSet {
  const compiled = filters.map((filter) => compileFilter(filter, place));
  return {
    request: compiled.filter(({ type }) => type !== FAULT_INJECTION),
    attempt: compiled.filter(({ type }) => type === FAULT_INJECTION),
  };
}

function compileFilter(filter: HttpFilter, place: FilterPlace): Filter {
  switch (filter.type) {
    case 'RequestHeaderModifier':
      return createRequestHeaderModifier(filter.requestHeaderModifier);
    case 'ResponseHeaderModifier':
      return createResponseHeaderModifier(filter.responseHeaderModifier);
    case 'RequestRedirect':
      return createRedirect(filter.requestRedirect, place.prefix);
    case 'URLRewrite':
      return createUrlRewrite(filter.urlRewrite, place.prefix);
    case 'RequestMirror': {
      const { backendRef } = filter.requestMirror;
      const service = toServiceKey(backendRef, place.namespace);
      const isFound = service !== undefined && place.permits(service);
      const destination = isFound ? toDestination(service, backendRef.port ?? SERVICE_PORT) : undefined;
      return createMirror(filter.requestMirror, destination, backendRef.name);
    }
    case 'CORS':
      return createCors(filter.cors);
    case 'ExtensionRef':
      return compileExtension(filter.extensionRef, place);
  }
}

function compileExtension({ group, kind, name }: ExtensionRef, { namespace, find }: FilterPlace): Filter {
  if (group === EXTENSION_GROUP && kind === MIDDLEWARE) return createMiddleware(name);
  const extension = group === EXTENSION_GROUP ? find(kind, namespace, name) : undefined;
  switch (extension?.kind) {
    case DIRECT_RESPONSE:
      return createDirectResponse(extension.spec);
    case FAULT_INJECTION:
      return createFault(extension.spec);
    case undefined:
      return createMissing('ExtensionRef', `there is no ${kind}.${group} "${name}" in namespace "${namespace}"`);
  }
}
