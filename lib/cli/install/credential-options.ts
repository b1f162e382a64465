/** The options with which an operator names a credential. */
import { quote } from "../../linux/text.ts";
import { omitUndefined } from "../../cni/json.ts";
import { readServerUrl, withoutSecrets } from "../../kube/access/server-url.ts";
import { serviceAccountDirectory } from "../../kube/typed-api.ts";
import { type Input, UsageError } from "../command/input.ts";
import type { Options } from "../command/options.ts";

/** The operator's options. */
export interface Wishes {
  kubeconfig?: string;
  server?: string;
  certificateAuthority?: string;
  tokenFile?: string;
  clientCertificate?: string;
  clientKey?: string;
  insecure: boolean;
  /** The pod's service account: its mount path, and whether nothing else will do. */
  account: { directory: string; isRequired: boolean };
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
export function wishesOf(input: Input): Wishes {
  const wishes = omitUndefined<Wishes>({
    kubeconfig: input.path("kubeconfig"),
    server: input.text("server"),
    certificateAuthority: input.path("certificate-authority"),
    tokenFile: input.path("token-file"),
    clientCertificate: input.path("client-certificate"),
    clientKey: input.path("client-key"),
    insecure: input.flag("insecure-skip-tls-verify"),
    account: {
      directory: input.path("service-account") ?? serviceAccountDirectory,
      isRequired: input.path("service-account") !== undefined,
    },
  });
  const { server, clientCertificate, clientKey, tokenFile } = wishes;
  const credentials = [tokenFile, clientCertificate, clientKey];
  const isOfServer =
    wishes.insecure ||
    [...credentials, wishes.certificateAuthority].some(
      (option) => option !== undefined,
    );
  input.exclude("kubeconfig", "server");
  if (server === undefined && isOfServer)
    throw new UsageError("--server is missing");
  if (server !== undefined) requireUrl(server);
  if ((clientCertificate === undefined) !== (clientKey === undefined))
    throw new UsageError(
      "--client-certificate and --client-key need each other",
    );
  if (
    server !== undefined &&
    credentials.every((option) => option === undefined)
  )
    throw new UsageError(
      "--server: --token-file or --client-certificate is missing",
    );
  return wishes;
}

function requireUrl(server: string): void {
  const url = readServerUrl(server, { isRoot: false });
  if ("problem" in url)
    throw new UsageError(
      `--server ${quote(withoutSecrets(server))}: ${url.problem}`,
    );
}
