/**
 * What our network configuration says about the API server (configuration.md,
 * `kubernetes` and `policy`), in our own words. Pure.
 */

/** The keys of the network configuration that concern the API server. */
export interface KubernetesKeys {
  kubernetes?: Keys<"kubeconfig" | "k8s_api_root">;
  policy?: Keys<
    | "k8s_api_root"
    | "k8s_auth_token"
    | "k8s_client_certificate"
    | "k8s_client_key"
    | "k8s_certificate_authority"
  >;
}

type Keys<K extends string> =
  { readonly [key in K]?: string | null | undefined } | null | undefined;

/** Where the API server is and who we are; what is absent is left to the kubeconfig. */
export interface KubeOptions {
  /** Path. */
  kubeconfig?: string;
  /** URL; wins over `policy.server`, and both over the kubeconfig's. */
  server?: string;
  /** Wins over what the kubeconfig says, key by key. */
  policy?: Policy;
}

/** The token is the token itself, the others are paths, as in the original. */
export interface Policy {
  server?: string;
  token?: string;
  clientCertificate?: string;
  clientKey?: string;
  certificateAuthority?: string;
}

/** A blank value is an absent one. */
export function kubeOptions({
  kubernetes,
  policy,
}: KubernetesKeys): KubeOptions {
  return omitUndefined<KubeOptions>({
    kubeconfig: nonBlank(kubernetes?.kubeconfig),
    server: nonBlank(kubernetes?.k8s_api_root),
    policy: omitUndefined<Policy>({
      server: nonBlank(policy?.k8s_api_root),
      token: nonBlank(policy?.k8s_auth_token),
      clientCertificate: nonBlank(policy?.k8s_client_certificate),
      clientKey: nonBlank(policy?.k8s_client_key),
      certificateAuthority: nonBlank(policy?.k8s_certificate_authority),
    }),
  });
}

/** The text without the blanks around it; undefined when nothing is left. */
export function nonBlank(text: string | null | undefined): string | undefined {
  return text?.trim() || undefined;
}

/** Undefined values left out: `exactOptionalPropertyTypes` tells absent from undefined. */
export function omitUndefined<T extends object>(object: {
  [K in keyof T]: T[K] | undefined;
}): T;
export function omitUndefined(object: object): object {
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) {
    if (value !== undefined) rest[key] = value;
  }
  return rest;
}
