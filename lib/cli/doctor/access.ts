/**
 * The API server: its response, our user, and each right that genie needs
 * (SelfSubjectAccessReview).
 */
import type { V1ResourceAttributes } from "@kubernetes/client-node";
import type { Context } from "../../attach/context.ts";
import { type Api, apiProblem, openApi } from "../../kube/typed-api.ts";
import { messageOf } from "../../linux/errno.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { definitionGroup, definitionResource } from "../manifest/definition.ts";
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

export const checkAccess: Check = async ({
  config,
  host,
  terminal,
  context,
}) => {
  if (!config) return [];
  const { kubeconfig, server, policy } = config.kube;
  if ((kubeconfig ?? server ?? policy?.server) === undefined) return [];
  if (!host.isOwnRoot)
    return skip(
      "not checked below another root: the credential names files of the node",
    );
  let api: Api;
  try {
    api = await openApi(config.kube, terminal.env);
  } catch (error) {
    return fail(messageOf(error), "genie install --kubeconfig");
  }
  try {
    const { gitVersion } = await api.version.getCode();
    const user = await userOf(api);
    const as = user === undefined ? "" : `, as ${user}`;
    return [
      ok(`${api.server} responds: ${gitVersion}${as}`),
      ...(await permissions(api, user, context)),
      named("mutating policies", await mutatingPolicies(api)),
    ];
  } catch (error) {
    const problem = apiProblem(error);
    return fail(
      // A connection that failed names the server.
      problem.startsWith("server ") ? problem : `${api.server}: ${problem}`,
      "check the address, the authority and the credential",
    );
  }
};

/** undefined before Kubernetes 1.28, which has no SelfSubjectReview. */
async function userOf({ authentication }: Api): Promise<string | undefined> {
  try {
    const review = await authentication.createSelfSubjectReview({ body: {} });
    return review.status?.userInfo?.username;
  } catch {
    return undefined;
  }
}

type Right = Pick<
  V1ResourceAttributes,
  "verb" | "group" | "resource" | "subresource"
>;

/** All rights that genie needs (`genie manifest`), with their purpose. */
const needed: readonly [need: string, right: Right][] = [
  [
    "a runtime that does not send annotations, static pods",
    { verb: "get", group: "", resource: "pods" },
  ],
  [
    "the network status of pods",
    { verb: "patch", group: "", resource: "pods", subresource: "status" },
  ],
  [
    "the annotation k8s.v1.cni.cncf.io/networks",
    { verb: "get", group: definitionGroup, resource: definitionResource },
  ],
];

async function permissions(
  api: Api,
  user: string | undefined,
  context: Node["context"],
): Promise<Outcome[]> {
  const isNode = user?.startsWith("system:node:") ?? false;
  const pod = context && (await recordedPod(context));
  const findings: Outcome[] = [];
  for (const [need, right] of needed) {
    const { verb, resource, subresource } = right;
    const name = `may ${verb} ${resource}${subresource ? `/${subresource}` : ""}`;
    // A node may access its own pods only, so the review names one of them.
    const isNamed = isNode && resource === "pods";
    const outcome =
      isNamed && !pod
        ? skip("a node may for its own pods; no recorded pod to check with")
        : await reviewOf(api, { ...right, ...(isNamed && pod) }, need);
    findings.push(named(name, outcome));
  }
  return findings;
}

/** Whether our user has a right, which is needed for `need`. */
export async function reviewOf(
  { authorization }: Api,
  resourceAttributes: V1ResourceAttributes,
  need: string,
  { denied = fail, advice = "genie manifest | kubectl apply -f -" } = {},
): Promise<Outcome> {
  try {
    const { status } = await authorization.createSelfSubjectAccessReview({
      body: { spec: { resourceAttributes } },
    });
    const reason = status?.reason ? `: ${status.reason}` : "";
    return status?.allowed
      ? ok("allowed")
      : denied(`denied${reason}; needed for ${need}`, advice);
  } catch (error) {
    const found = `cannot be checked: ${apiProblem(error)}; needed for ${need}`;
    return warn(found, advice);
  }
}

/** Some pod of this node. */
async function recordedPod(
  context: Context,
): Promise<{ namespace: string; name: string } | undefined> {
  for await (const { record } of recordDirectory(context).all())
    if (record?.pod) {
      const { namespace, name } = record.pod;
      return { namespace, name };
    }
  return undefined;
}

/**
 * Whether the API server has the kind of policy that `genie manifest` prints for
 * namespace networks and scheduling (choice.md). Nothing of a node depends on it.
 */
async function mutatingPolicies({ admission }: Api): Promise<Outcome> {
  const purpose =
    "needed for `genie manifest --namespace-networks` and `--network-scheduling`";
  try {
    const { resources } = await admission.getAPIResources();
    return resources.some(({ name }) => name === "mutatingadmissionpolicies")
      ? ok("the API server has them")
      : skip(
          `the API server has no MutatingAdmissionPolicy v1, stable since Kubernetes 1.36; ${purpose}`,
        );
  } catch (error) {
    return skip(`cannot be checked: ${apiProblem(error)}; ${purpose}`);
  }
}
