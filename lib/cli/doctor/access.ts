/**
 * The API server: its response, our user, and each right that genie needs
 * (SelfSubjectAccessReview).
 */
import type { PodReference } from "../../attach/record.ts";
import { messageOf } from "../../linux/errno.ts";
import { type Api, apiProblem, openApi } from "../../kube/typed-api.ts";
import { mutatingPolicies } from "./admission.ts";
import type { Check, Finding, Node } from "./check.ts";

export const checkAccess: Check = async ({
  config,
  host,
  terminal,
  context,
}) => {
  const check = "API server";
  if (!config) return [];
  const { kubeconfig, server, policy } = config.kube;
  const configured = kubeconfig ?? server ?? policy?.server;
  if (configured === undefined) return [];
  if (!host.isOurs)
    return [
      {
        check,
        verdict: "skip",
        found:
          "not checked below another root: the credential names files of the node",
      },
    ];
  let api: Api;
  try {
    api = await openApi(config.kube, terminal.env);
  } catch (error) {
    return [
      {
        check,
        verdict: "fail",
        found: messageOf(error),
        advice: "genie install --kubeconfig",
      },
    ];
  }
  try {
    const { gitVersion } = await api.version.getCode();
    const user = await userOf(api);
    return [
      {
        check,
        verdict: "ok",
        found: `${api.server} responds: ${gitVersion}${user === undefined ? "" : `, as ${user}`}`,
      },
      ...(await permissions(api, user, context)),
      await mutatingPolicies(api),
    ];
  } catch (error) {
    return [
      {
        check,
        verdict: "fail",
        found: `${api.server}: ${apiProblem(error)}`,
        advice: "check the address, the authority and the credential",
      },
    ];
  }
};

/** undefined before Kubernetes 1.28, which does not tell. */
async function userOf({ authentication }: Api): Promise<string | undefined> {
  try {
    const review = await authentication.createSelfSubjectReview({ body: {} });
    return review.status?.userInfo?.username;
  } catch {
    return undefined;
  }
}

interface Permission {
  verb: string;
  group: string;
  resource: string;
  subresource?: string;
  /** The consequence if it is denied. */
  need: string;
}

/** All rights that genie needs (`genie manifest`). */
const needed: readonly Permission[] = [
  {
    verb: "get",
    group: "",
    resource: "pods",
    need: "a runtime that does not send annotations, static pods",
  },
  {
    verb: "patch",
    group: "",
    resource: "pods",
    subresource: "status",
    need: "the network status of pods",
  },
  {
    verb: "get",
    group: "k8s.cni.cncf.io",
    resource: "network-attachment-definitions",
    need: "the annotation k8s.v1.cni.cncf.io/networks",
  },
];

async function permissions(
  api: Api,
  user: string | undefined,
  context: Node["context"],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const isNode = user?.startsWith("system:node:") ?? false;
  const pod = context && (await recordedPod(context));
  for (const permission of needed) {
    const { verb, resource, subresource } = permission;
    const what = `${verb} ${resource}${subresource ? `/${subresource}` : ""}`;
    const check = `may ${what}`;
    // A node may access its own pods only, so the review names one of them.
    const named = isNode && resource === "pods";
    if (named && !pod) {
      findings.push({
        check,
        verdict: "skip",
        found: "a node may for its own pods; no recorded pod to check with",
      });
      continue;
    }
    findings.push({
      check,
      ...(await reviewed(api, permission, named ? pod : undefined)),
    });
  }
  return findings;
}

/** The API server's decision, for one pod if given. */
async function reviewed(
  { authorization }: Api,
  { verb, group, resource, subresource, need }: Permission,
  pod: PodReference | undefined,
): Promise<Omit<Finding, "check">> {
  const advice = "genie manifest | kubectl apply -f -";
  try {
    const { status } = await authorization.createSelfSubjectAccessReview({
      body: {
        spec: {
          resourceAttributes: {
            verb,
            group,
            resource,
            ...(subresource !== undefined && { subresource }),
            ...(pod && { namespace: pod.namespace, name: pod.name }),
          },
        },
      },
    });
    if (status?.allowed) return { verdict: "ok", found: "allowed" };
    const reason = status?.reason ? `: ${status.reason}` : "";
    const found = `denied${reason}; needed for ${need}`;
    return { verdict: "fail", found, advice };
  } catch (error) {
    const found = `cannot be checked: ${apiProblem(error)}; needed for ${need}`;
    return { verdict: "warn", found, advice };
  }
}

/** Any pod of this node. */
async function recordedPod({
  records,
}: NonNullable<Node["context"]>): Promise<PodReference | undefined> {
  for await (const { record } of records.all())
    if (record?.pod) return record.pod;
  return undefined;
}
