/**
 * Whether the API server has the kind of policy that `genie manifest` prints for
 * namespace networks and scheduling (choice.md). Nothing of a node depends on it.
 */
import { type Api, apiProblem } from "../../kube/typed-api.ts";
import type { Finding } from "./check.ts";

const resource = "mutatingadmissionpolicies";

export async function mutatingPolicies({ admission }: Api): Promise<Finding> {
  const check = "mutating policies";
  const needed =
    "needed for `genie manifest --namespace-networks` and `--network-scheduling`";
  try {
    const { resources } = await admission.getAPIResources();
    return resources.some(({ name }) => name === resource)
      ? { check, verdict: "ok", found: "the API server has them" }
      : {
          check,
          verdict: "skip",
          found: `the API server has no MutatingAdmissionPolicy v1, stable since Kubernetes 1.36; ${needed}`,
        };
  } catch (error) {
    const found = `cannot be checked: ${apiProblem(error)}; ${needed}`;
    return { check, verdict: "skip", found };
  }
}
