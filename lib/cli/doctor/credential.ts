/**
 * The credential for the API server on disk: kubeconfig, verification, expiry of
 * token and certificate. It verifies no token and never prints a secret. A bound
 * token is invalid once its pod is deleted, whatever its expiry: the DaemonSet that
 * wrote it is gone, or the token was copied from another pod.
 */
import { existsSync, statSync } from "node:fs";
import { own, ownText } from "../../cni/json.ts";
import {
  type Cluster,
  type User,
  readKubeconfig,
} from "../../kube/access/kubeconfig.ts";
import { readToken } from "../../kube/access/pem.ts";
import { apiProblem, openApi } from "../../kube/typed-api.ts";
import { messageOf } from "../../linux/errno.ts";
import { attempt } from "../node/attempt.ts";
import type { Host } from "../node/host.ts";
import { readCertificate } from "../node/node-name.ts";
import {
  type Check,
  type Node,
  type Outcome,
  fail,
  named,
  ok,
  skip,
  warn,
} from "./check.ts";

const renewal = "check that the DaemonSet or kubelet that renews it is running";

export const checkCredential: Check = ({ config, host, terminal }) => {
  if (!config) return [];
  const { kubeconfig, server, policy } = config.kube;
  if (kubeconfig === undefined)
    return (server ?? policy?.server) === undefined
      ? warn(
          "no credential for the API server",
          "genie install --kubeconfig: definitions and the pods' status need it",
        )
      : ok("the configuration names a server");
  const path = host.path(kubeconfig);
  let read: { cluster: Cluster; user: User };
  try {
    read = readKubeconfig(path);
  } catch (error) {
    return fail(messageOf(error), "genie install --kubeconfig");
  }
  return [
    modeFinding(path, kubeconfig),
    ...(read.cluster.insecure
      ? [
          warn(
            `${kubeconfig} does not verify the API server: another server can impersonate it`,
            "set certificate-authority instead",
          ),
        ]
      : []),
    ...userFindings(read.user, host, terminal.now()),
  ];
};

function modeFinding(path: string, shown: string): Outcome {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return ok(`${shown} can be read`);
  const octal = mode.toString(8).padStart(4, "0");
  return warn(
    `${shown} has mode ${octal}: others can read it`,
    `chmod 600 ${shown}`,
  );
}

/** The lifetime of the token, else of the client certificate. */
function userFindings(user: User, host: Host, now: Date): Outcome[] {
  try {
    const { tokenFile, clientCertificate } = user;
    const text = tokenOf(user, host);
    if (text !== undefined) {
      const isRenewed = tokenFile !== undefined;
      return [named("token", lifetime(expiryOf(text), now, isRenewed))];
    }
    if (!clientCertificate) return [];
    const { validToDate } = readCertificate(clientCertificate, host);
    return [named("client certificate", lifetime(validToDate, now, true))];
  } catch (error) {
    return [named("credential", fail(messageOf(error), renewal))];
  }
}

/** A kubelet renews a token when a fifth of its hour is left: less means that it is not renewed. */
const soonMs = 5 * 60_000;

function lifetime(
  until: Date | undefined,
  now: Date,
  isRenewed: boolean,
): Outcome {
  if (until === undefined)
    return ok(
      `${isRenewed ? "has" : "is in the kubeconfig and has"} no expiry`,
    );
  const leftMs = until.getTime() - now.getTime();
  if (leftMs <= 0) return fail(`expired at ${until.toISOString()}`, renewal);
  const found = `valid until ${until.toISOString()}`;
  return leftMs > soonMs
    ? ok(found)
    : warn(`${found}, in less than five minutes`, renewal);
}

/** undefined: the user has none. Throws if its file cannot be read. */
function tokenOf({ tokenFile, token }: User, host: Host): string | undefined {
  return tokenFile === undefined
    ? token
    : readToken(host.path(tokenFile), "token file");
}

/** The claims of a JWT; undefined for another token. */
function claimsOf(token: string | undefined): unknown {
  const [, payload] = token?.split(".") ?? [];
  return attempt((): unknown =>
    JSON.parse(Buffer.from(payload ?? "", "base64url").toString()),
  );
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
  const found = `is bound to pod ${pod.namespace}/${pod.name}`;
  try {
    return (await podExists(pod, node))
      ? ok(`${found}, which exists`)
      : fail(
          `${found}, which is gone: the API server refuses it`,
          "start the DaemonSet, or use the node's own credential: genie install --kubeconfig",
        );
  } catch (error) {
    const why = apiProblem(error);
    return skip(`${found}; its state is unknown: ${why}`);
  }
};

/** Reads the claims without verifying them: the server verifies. */
function boundPod({ config, host }: Node): BoundPod | undefined {
  const kubeconfig = config?.kube.kubeconfig;
  if (kubeconfig === undefined) return undefined;
  // The check of the credential reports a file that cannot be read.
  const claims = attempt(() =>
    claimsOf(tokenOf(readKubeconfig(host.path(kubeconfig)).user, host)),
  );
  const bound = own(claims, "kubernetes.io");
  const namespace = ownText(bound, "namespace");
  const pod = own(bound, "pod");
  const name = ownText(pod, "name");
  if (!namespace || !name) return undefined;
  return { namespace, name, uid: ownText(pod, "uid") ?? "" };
}

/** Asks the kubelet's directory, which needs no request, else the API server. Throws if neither knows. */
async function podExists(
  pod: BoundPod,
  { host, config, terminal }: Node,
): Promise<boolean> {
  const pods = "/var/lib/kubelet/pods";
  if (pod.uid !== "" && existsSync(host.path(`${pods}/${pod.uid}`)))
    return true;
  if (!host.isOwnRoot) {
    if (existsSync(host.path(pods))) return false;
    throw new Error(`${pods} is not there`);
  }
  try {
    const { core } = await openApi(config?.kube ?? {}, terminal.env);
    const { metadata } = await core.readNamespacedPod(pod);
    return pod.uid === "" || metadata?.uid === pod.uid;
  } catch (error) {
    const code = own(Object.fromEntries(Object.entries(error ?? {})), "code");
    // 401: the server checked the pod itself.
    if (code === 404 || code === 401) return false;
    throw error;
  }
}
