/**
 * CNI-Genie's logical networks (selection.md §9): both custom resources, genie's rights,
 * and the policies.
 */
import { optionsOf } from "../command/options.ts";
import { customResource } from "./definition.ts";
import type { Feature } from "./feature.ts";
import { group, logicalNetworkPolicies } from "./logical-network-policies.ts";

export const logicalNetworks: Feature = {
  options: optionsOf({
    "--logical-networks":
      "CNI-Genie's logical and physical networks: kinds, rights, policies",
  }),
  contribute(input) {
    if (!input.flag("logical-networks")) return undefined;
    const rules = [
      {
        apiGroups: [group],
        resources: ["logicalnetworks", "physicalnetworks"],
        verbs: ["get"],
      },
    ];
    return {
      // The plugin has one of the two credentials.
      ...(!input.flag("node-credentials") && { accountRules: rules }),
      ...(!input.flag("service-account") && { nodeRules: rules }),
      definitions: [
        definition("Logicalnetwork", logicalSpec),
        definition("Physicalnetwork", physicalSpec),
      ],
      objects: logicalNetworkPolicies(),
    };
  },
};

const string = { type: "string" };
const subnet = { type: "string", description: "a CIDR" };

const logicalSpec = {
  physicalNet: {
    ...string,
    description: "a physical network of this namespace",
  },
  plugin: {
    ...string,
    description:
      "a network of the node, unless the physical network is dedicated",
  },
  sub_subnet: {
    ...subnet,
    description: "a part of the physical network's subnet",
  },
};

const sharedStatus = {
  type: "object",
  properties: {
    dedicatedNet: { type: "boolean" },
    plugin: {
      ...string,
      description: "the network of the node of a dedicated physical network",
    },
    subnet,
  },
};

const physicalSpec = {
  refer_nic: {
    ...string,
    description: "the master of macvlan, ipvlan and vlan plugins without one",
  },
  sharedStatus,
  sharedStaus: {
    ...sharedStatus,
    description: "sharedStatus as CNI-Genie's samples spell it",
  },
};

function definition(kind: string, spec: object): object {
  const singular = kind.toLowerCase();
  return customResource(
    group,
    { plural: `${singular}s`, singular, kind },
    {
      type: "object",
      required: ["spec"],
      properties: { spec: { type: "object", properties: spec } },
    },
    // CNI-Genie chose a group that belongs to Kubernetes.
    { "api-approved.kubernetes.io": "unapproved, the group of CNI-Genie" },
  );
}
