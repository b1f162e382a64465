/** The options with which an operator names a credential. */
import { omitUndefined } from "../../cni/json.ts";
import { readServerUrl, withoutSecrets } from "../../kube/access/server-url.ts";
import { serviceAccountDirectory } from "../../kube/access/access.ts";
import { quote } from "../../linux/text.ts";
import { type Input, UsageError } from "../command/input.ts";
import { optionsOf } from "../command/options.ts";

export type Credential =
  /** An existing kubeconfig, used as it is. */
  | { kind: "given"; kubeconfig: string; why: string }
  | WrittenCredential
  | { kind: "none" };

/** A kubeconfig to write: its cluster and user. */
export interface WrittenCredential {
  kind: "written";
  cluster: object;
  user: object;
  /** Content of files to copy from the pod to the node, by base name. */
  copies: Readonly<Record<string, string>>;
}

export interface CredentialRequest {
  named?: Credential | undefined;
  account: Account;
}

/** The pod's service account: its mount path, and whether it must be used. */
interface Account {
  directory: string;
  isRequired: boolean;
}

export const credentialOptions = optionsOf({
  "--kubeconfig FILE":
    "use this kubeconfig as it is, for instance /etc/kubernetes/kubelet.conf",
  "--server URL": "make a kubeconfig for this API server",
  "--certificate-authority FILE": "CA certificate of --server",
  "--token-file FILE": "bearer token for --server, read at every use",
  "--client-certificate FILE":
    "client certificate for --server, in place of a token",
  "--client-key FILE": "private key of --client-certificate",
  "--insecure-skip-tls-verify":
    "do not verify the certificate of --server: another server can impersonate it",
  "--service-account DIR":
    "use the service account in this directory, even where the kubelet has a kubeconfig",
});

/** Throws UsageError for contradicting options. */
export function credentialRequestOf(input: Input): CredentialRequest {
  input.exclude("kubeconfig", "server");
  const server = input.text("server");
  const kubeconfig = input.path("kubeconfig");
  for (const option of [
    "certificate-authority",
    "token-file",
    "client-certificate",
    "client-key",
    "insecure-skip-tls-verify",
  ])
    input.need(option, "server");
  return {
    named:
      kubeconfig !== undefined
        ? { kind: "given", kubeconfig, why: "" }
        : server === undefined
          ? undefined
          : credentialFor(server, input),
    account: accountOf(input),
  };
}

/** The account that the option `service-account` names, else this pod's. */
export function accountOf(input: Input): Account {
  const directory = input.path("service-account");
  return {
    directory: directory ?? serviceAccountDirectory,
    isRequired: directory !== undefined,
  };
}

function credentialFor(server: string, input: Input): Credential {
  const url = readServerUrl(server, { isRoot: false });
  if ("problem" in url)
    throw new UsageError(
      `--server ${quote(withoutSecrets(server))}: ${url.problem}`,
    );
  const user = omitUndefined<object>({
    tokenFile: input.path("token-file"),
    "client-certificate": input.path("client-certificate"),
    "client-key": input.path("client-key"),
  });
  if ("client-certificate" in user !== "client-key" in user)
    throw new UsageError(
      "--client-certificate and --client-key need each other",
    );
  if (Object.keys(user).length === 0)
    throw new UsageError(
      "--server: --token-file or --client-certificate is missing",
    );
  const isInsecure = input.flag("insecure-skip-tls-verify");
  const cluster = omitUndefined<object>({
    server,
    "certificate-authority": input.path("certificate-authority"),
    ...(isInsecure && { "insecure-skip-tls-verify": true }),
  });
  return { kind: "written", cluster, user, copies: {} };
}
