/** What the cases for gateways share: the parent, where upstream has a Gateway, is the Service of the same name. */

export const SHARED = { from: 'infra', to: 'same-namespace' } as const;

/** @param more another member of `spec` */
export function httpRoute(name: string, rules: string, more = ''): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: "", kind: Service, name: same-namespace }]
  ${more}
  rules:${rules}
`;
}
