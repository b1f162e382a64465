/**
 * The rights for devices of claims without a metadata file (devices.md). A kubelet's own
 * credential has them for its node: the node authorizer allows both requests.
 */
import { optionsOf } from "../command/options.ts";
import type { Feature } from "./feature.ts";

const apiGroups = ["resource.k8s.io"];

export const dra: Feature = {
  options: optionsOf({
    "--dra":
      "allow networks to use devices of claims (Dynamic Resource Allocation)",
  }),
  contribute: (input) =>
    input.flag("dra") && !input.flag("node-credentials")
      ? {
          accountRules: [
            { apiGroups, resources: ["resourceslices"], verbs: ["list"] },
            { apiGroups, resources: ["resourceclaims"], verbs: ["get"] },
          ],
        }
      : undefined,
};
