/**
 * What the suite must hold: the cases of Gateway API's own conformance suite that mean something in a mesh, by their upstream
 * ids (short names in mesh mode, names of files else), and four that it lacks. What is not passed is written here.
 */

/** Mode `mesh` of the suite: all that there is. */
export const MESH_IDS = [
  'MeshBasic',
  'MeshTrafficSplit',
  'MeshFrontend',
  'MeshFrontendHostname',
  'MeshPorts',
  'MeshConsumerRoute',
  'MeshHTTPRouteSimpleSameNamespace',
  'MeshHTTPRouteMatching',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteWeight',
  'MeshGRPCRouteWeight',
  'MeshHTTPRouteRequestHeaderModifier',
  'MeshHTTPRouteBackendRequestHeaderModifier',
  'MeshGRPCRouteRequestHeaderModifier',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteRedirectHostAndStatus',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteSchemeRedirect',
  'MeshHTTPRoute303Redirect',
  'MeshHTTPRoute307Redirect',
  'MeshHTTPRoute308Redirect',
  'MeshHTTPRouteNamedRule',
] as const;

/** Written for gateways; the parent is a Service here. */
export const NORTH_SOUTH_IDS = [
  'httproute-exact-path-matching',
  'httproute-path-match-order',
  'httproute-matching-across-routes',
  'httproute-header-matching',
  'httproute-method-matching',
  'httproute-hostname-intersection',
  'httproute-omitted-backendrefs',
  'httproute-invalid-nonexistent-backendref',
  'httproute-invalid-backendref-unknown-kind',
  'httproute-reference-grant',
  'httproute-weight',
  'httproute-request-mirror',
  'httproute-request-multiple-mirrors',
  'httproute-request-percentage-mirror',
  'httproute-response-header-modifier',
  'httproute-rewrite-host',
  'httproute-backend-url-rewrite',
  'httproute-backend-request-redirect',
  'httproute-cors',
  'httproute-backend-protocol-h2c',
  'httproute-backend-protocol-websocket',
  'httproute-timeout-request',
  'httproute-timeout-backend-request',
  'httproute-retry',
  'httproute-retry-connection-error',
  'httproute-retry-with-timeouts',
  'grpcroute-exact-method-matching',
  'grpcroute-header-matching',
  'grpcroute-weight',
  'tcproute-weighted-routing',
  'tcproute-invalid-backendref',
  'tcproute-parentref-port-and-section-name',
] as const;

/** What the upstream suite leaves out (kumahq/kuma#17979). */
export const MISSED_UPSTREAM_IDS = [
  'kuma#17979 unresolvable backendRef share',
  'kuma#17979 parent port by name',
  'kuma#17979 cross-namespace reference',
  'kuma#17979 parent status',
] as const;

export const REQUIRED_IDS: readonly string[] = [...MESH_IDS, ...NORTH_SOUTH_IDS, ...MISSED_UPSTREAM_IDS];

const NO_PORT_NAMES = 'ports of a service have numbers and no names in this mesh, so that sectionName finds none';

/** Id → why it is not passed. */
export const EXCEPTIONS: Readonly<Record<string, string>> = {
  'httproute-hostname-intersection': 'about listeners of a Gateway; in a mesh hostnames have no say (GEP-1294)',
  'tcproute-parentref-port-and-section-name': NO_PORT_NAMES,
  'kuma#17979 parent port by name': NO_PORT_NAMES,
};
