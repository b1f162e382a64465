/** The options with which an operator names a credential. */
import { omitUndefined } from "../../cni/json.ts";
import { readServerUrl, withoutSecrets } from "../../kube/access/server-url.ts";
import { serviceAccountDirectory } from "../../kube/typed-api.ts";
import { quote } from "../../linux/text.ts";
import { type Input, UsageError } from "../command/input.ts";
import type { Options } from "../command/options.ts";

export type Credential =
  /** An existing kubeconfig, used as it is. */
  | { kind: "given"; kubeconfig: string; why: string }
  /** `copies`: content of files to copy from the pod to the node, by base name. */
  | {
      kind: "written";
      cluster: object;
      user: object;
      copies: Readonly<Record<string, string>>;
    }
  | { kind: "none" };

/** The operator's options. */
export interface CredentialRequest {
  named?: Credential | undefined;
  account: Account;
}

/** The pod's service account: its mount path, and whether nothing else will do. */
interface Account {
  directory: string;
  isRequired: boolean;
}

export const credentialOptions = {
  kubeconfig: {
    value: "FILE",
    about:
      "use this kubeconfig as it is, for instance /etc/kubernetes/kubelet.conf",
  },
  server: {
    value: "URL",
    about: "make a kubeconfig for this API server",
  },
  "certificate-authority": {
    value: "FILE",
    about: "CA certificate of --server",
  },
  "token-file": {
    value: "FILE",
    about: "bearer token for --server, read at every use",
  },
  "client-certificate": {
    value: "FILE",
    about: "client certificate for --server, in place of a token",
  },
  "client-key": {
    value: "FILE",
    about: "private key of --client-certificate",
  },
  "insecure-skip-tls-verify": {
    about:
      "do not verify the certificate of --server: another server can impersonate it",
  },
  "service-account": {
    value: "DIR",
    about:
      "use the service account of the pod that runs install, even where the kubelet has a kubeconfig",
  },
} as const satisfies Options;

/** Throws UsageError for contradicting options. */
export function credentialOf(input: Input): CredentialRequest {
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
