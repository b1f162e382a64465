/**
 * The pod of a bound token. A service account's token is invalid once its pod is
 * deleted, whatever its expiry: the DaemonSet that wrote it is gone, or the token
 * was copied from another pod.
 */
import { existsSync } from "node:fs";
import { own } from "../../cni/json.ts";
import { readKubeconfig } from "../../kube/kubeconfig.ts";
import { apiProblem, openApi } from "../api.ts";
import type { Check, Finding, Node } from "./check.ts";
import { claimsOf, tokenOf } from "./token.ts";

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
