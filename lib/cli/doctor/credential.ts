/**
 * The credential for the API server on disk: kubeconfig, verification, expiry of
 * token and certificate. It verifies no token and never prints a secret. A bound
 * token is invalid once its pod is deleted, whatever its expiry: the DaemonSet that
 * wrote it is gone, or the token was copied from another pod.
 */
import { X509Certificate } from "node:crypto";
import { statSync, existsSync } from "node:fs";
import { messageOf } from "../../linux/errno.ts";
import {
  type Cluster,
  type User,
  readKubeconfig,
} from "../../kube/kubeconfig.ts";
import { type PemSource, readPem, readToken } from "../../kube/pem.ts";
import type { Check, Finding, Node } from "./check.ts";
import { own } from "../../cni/json.ts";
import type { Host } from "../host.ts";
import { apiProblem, openApi } from "../../kube/typed-api.ts";

export const checkCredential: Check = ({ config, host, terminal }) => {
  if (!config) return [];
  const { kubeconfig, server, policy } = config.kube;
  if (kubeconfig === undefined)
    return (server ?? policy?.server) === undefined
      ? [
          {
            check: "kubeconfig",
            verdict: "warn",
            found: "no credential for the API server",
            advice:
              "genie install --kubeconfig: definitions and the pods' status need it",
          },
        ]
      : [
          {
            check: "kubeconfig",
            verdict: "ok",
            found: "the configuration names a server",
          },
        ];
  const path = host.path(kubeconfig);
  let read: { cluster: Cluster; user: User };
  try {
    read = readKubeconfig(path);
  } catch (error) {
    return [
      {
        check: "kubeconfig",
        verdict: "fail",
        found: messageOf(error),
        advice: "genie install --kubeconfig",
      },
    ];
  }
  return [
    ...fileFindings(path, kubeconfig),
    ...clusterFindings(read.cluster, kubeconfig),
    ...userFindings(read.user, host, terminal.now()),
  ];
};

function fileFindings(path: string, shown: string): Finding[] {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0)
    return [
      { check: "kubeconfig", verdict: "ok", found: `${shown} can be read` },
    ];
  return [
    {
      check: "kubeconfig",
      verdict: "warn",
      found: `${shown} has mode ${mode.toString(8).padStart(4, "0")}: others can read it`,
      advice: `chmod 600 ${shown}`,
    },
  ];
}

function clusterFindings({ insecure }: Cluster, shown: string): Finding[] {
  if (!insecure) return [];
  return [
    {
      check: "kubeconfig",
      verdict: "warn",
      found: `${shown} does not verify the API server: another server can impersonate it`,
      advice: "set certificate-authority instead",
    },
  ];
}

function userFindings(user: User, host: Node["host"], now: Date): Finding[] {
  try {
    const { tokenFile, clientCertificate } = user;
    const text = tokenOf(user, host);
    if (text !== undefined)
      return [lifetime("token", expiryOf(text), now, tokenFile !== undefined)];
    if (!clientCertificate) return [];
    const pem = readPem(onHost(clientCertificate, host), "CERTIFICATE");
    const until = new X509Certificate(pem).validToDate;
    return [lifetime("client certificate", until, now, true)];
  } catch (error) {
    return [
      {
        check: "credential",
        verdict: "fail",
        found: messageOf(error),
        advice: "check that the DaemonSet or kubelet that renews it is running",
      },
    ];
  }
}

function onHost(source: PemSource, host: Node["host"]): PemSource {
  return "file" in source
    ? { ...source, file: host.path(source.file) }
    : source;
}

/** A kubelet renews a token when a fifth of its hour is left: less means that it is not renewed. */
const soonMs = 5 * 60_000;

function lifetime(
  what: string,
  until: Date | undefined,
  now: Date,
  renewed: boolean,
): Finding {
  if (until === undefined)
    return {
      check: what,
      verdict: "ok",
      found: renewed
        ? "has no expiry"
        : "is in the kubeconfig and has no expiry",
    };
  const left = until.getTime() - now.getTime();
  if (left <= 0)
    return {
      check: what,
      verdict: "fail",
      found: `expired at ${until.toISOString()}`,
      advice: "check that the DaemonSet or kubelet that renews it is running",
    };
  const found = `valid until ${until.toISOString()}`;
  if (left > soonMs) return { check: what, verdict: "ok", found };
  return {
    check: what,
    verdict: "warn",
    found: `${found}, in less than five minutes`,
    advice: "check that the DaemonSet or kubelet that renews it is running",
  };
}

/** undefined: the user has none. Throws if its file cannot be read. */
export function tokenOf(
  { tokenFile, token }: User,
  host: Host,
): string | undefined {
  return tokenFile === undefined
    ? token
    : readToken(host.path(tokenFile), "token file");
}

/** The claims of a JWT; undefined for another token. */
function claimsOf(token: string | undefined): unknown {
  const [, payload] = token?.split(".") ?? [];
  if (payload === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(payload, "base64url").toString());
  } catch {
    return undefined;
  }
}

/** `exp`; undefined if absent. */
function expiryOf(token: string): Date | undefined {
  const exp = own(claimsOf(token), "exp");
  return typeof exp === "number" ? new Date(exp * 1000) : undefined;
}

interface BoundPod {
  namespace: string;
  name: string;
  uid: string;
}

export const checkTokenPod: Check = async (node) => {
  const pod = boundPod(node);
  if (!pod) return [];
  const who = `pod ${pod.namespace}/${pod.name}`;
  const state = await stateOf(pod, node);
  return [finding(who, state)];
};

/** "unknown": with the reason. */
type State = "alive" | "gone" | { unknown: string };

function finding(who: string, state: State): Finding {
  const check = "token";
  if (state === "alive")
    return {
      check,
      verdict: "ok",
      found: `is bound to ${who}, which exists`,
    };
  if (state === "gone")
    return {
      check,
      verdict: "fail",
      found: `is bound to ${who}, which is gone: the API server refuses it`,
      advice:
        "start the DaemonSet, or use the node's own credential: genie install --kubeconfig",
    };
  return {
    check,
    verdict: "skip",
    found: `is bound to ${who}; its state is unknown: ${state.unknown}`,
  };
}

/** Reads the claims without verifying them: the server verifies. */
function boundPod({ config, host }: Node): BoundPod | undefined {
  const kubeconfig = config?.kube.kubeconfig;
  if (kubeconfig === undefined) return undefined;
  let claims: unknown;
  try {
    const { user } = readKubeconfig(host.path(kubeconfig));
    claims = claimsOf(tokenOf(user, host));
  } catch {
    // The check of the credential reports it.
    return undefined;
  }
  const bound = own(claims, "kubernetes.io");
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const pod = {
    namespace: text(own(bound, "namespace")),
    name: text(own(own(bound, "pod"), "name")),
    uid: text(own(own(bound, "pod"), "uid")),
  };
  return pod.namespace === "" || pod.name === "" ? undefined : pod;
}

/** The kubelet's directory tells without a request; else the API server. */
async function stateOf(pod: BoundPod, node: Node): Promise<State> {
  const { host, config, terminal } = node;
  const pods = "/var/lib/kubelet/pods";
  if (pod.uid !== "" && existsSync(host.path(`${pods}/${pod.uid}`)))
    return "alive";
  if (!host.isOurs)
    return existsSync(host.path(pods))
      ? "gone"
      : { unknown: `${pods} is not there` };
  if (!config) return { unknown: "no configuration" };
  try {
    const { core } = await openApi(config.kube, terminal.env);
    const { metadata } = await core.readNamespacedPod(pod);
    return pod.uid === "" || metadata?.uid === pod.uid ? "alive" : "gone";
  } catch (error) {
    const code = own(Object.fromEntries(Object.entries(error ?? {})), "code");
    // 401: the server checked the pod itself.
    return code === 404 || code === 401
      ? "gone"
      : { unknown: apiProblem(error) };
  }
}
