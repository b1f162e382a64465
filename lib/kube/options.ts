/**
 * The part of our network configuration about the API server (configuration.md,
 * `kubernetes` and `policy`). Pure.
 */

/** The keys `kubernetes` and `policy`. */
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

/** The API server and the credential; an absent key is left to the kubeconfig. */
export interface KubeOptions {
  /** Path. */
  kubeconfig?: string;
  /** URL; has precedence over `policy.server` and the kubeconfig's. */
  server?: string;
  /** Each key has precedence over the kubeconfig's. */
  policy?: Policy;
}

/** `token` is the token itself, the other keys are paths, as in CNI-Genie. */
export interface Policy {
  server?: string;
  token?: string;
  clientCertificate?: string;
  clientKey?: string;
  certificateAuthority?: string;
}

/** A blank value is treated as absent. */
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

/** The trimmed text; undefined if it is empty. */
export function nonBlank(text: string | null | undefined): string | undefined {
  return text?.trim() || undefined;
}

/** Omits undefined values: `exactOptionalPropertyTypes` distinguishes them from absent ones. */
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
