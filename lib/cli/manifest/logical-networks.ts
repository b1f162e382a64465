/**
 * CNI-Genie's logical networks (selection.md §9): both custom resources, genie's rights,
 * and the policies for which CNI-Genie had a webhook.
 */
import { optionsOf } from "../command/options.ts";
import { customResource } from "./definition.ts";
import type { Feature } from "./feature.ts";
import {
  boundPolicy,
  requests,
  validationsOf,
  valueOr,
  variablesOf,
} from "./policy.ts";

const group = "alpha.network.k8s.io";

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

/**
 * ValidatingAdmissionPolicies, each with its binding. A logical network is compared with its
 * physical network when either of them is written; ADD validates both again.
 */
function logicalNetworkPolicies(): object[] {
  return policies.flatMap(policyOf);
}

/** CEL: a text of an object, "" if absent. */
const textOf = (object: string, key: string): string =>
  `(${valueOr(`${object}.${key}`, '""')})`;

const sharedOf = (object: string): string =>
  valueOr(
    `${object}.spec.sharedStatus`,
    valueOr(`${object}.spec.sharedStaus`, "{}"),
  );

const isSubnet = (text: string): string => `${text} == "" || isCIDR(${text})`;

interface Policy {
  name: string;
  resource: string;
  /** The kind of the objects of the namespace that the object is compared with, one by one. */
  params?: string;
  variables: Readonly<Record<string, string>>;
  /** CEL expressions by the messages of a refusal. */
  validations: Readonly<Record<string, string>>;
}

/** Between a logical network and the physical network that it names; others are not concerned. */
function pairPolicy(
  name: string,
  resource: string,
  [logical, physical]: readonly [string, string],
  params: string,
): Policy {
  return {
    name,
    resource,
    params,
    variables: {
      isOther: `${textOf(`${logical}.spec`, "physicalNet")} != ${physical}.metadata.name`,
      shared: sharedOf(physical),
      isDedicated:
        "has(variables.shared.dedicatedNet) && variables.shared.dedicatedNet",
      outer: textOf("variables.shared", "subnet"),
      inner: textOf(`${logical}.spec`, "sub_subnet"),
      plugin: textOf(`${logical}.spec`, "plugin"),
    },
    validations: {
      "a logical network of a shared physical network must name a plugin":
        'variables.isOther || variables.isDedicated || variables.plugin != ""',
      "a logical network of a shared physical network without a subnet must have a sub_subnet":
        'variables.isOther || variables.isDedicated || variables.inner != "" || variables.outer != ""',
      "sub_subnet must be inside of the physical network's subnet":
        'variables.isOther || variables.inner == "" || variables.outer == "" || (isCIDR(variables.inner) && isCIDR(variables.outer) && cidr(variables.outer).containsCIDR(variables.inner))',
    },
  };
}

const policies: readonly Policy[] = [
  {
    name: "genie-logical-networks",
    resource: "logicalnetworks",
    variables: {},
    validations: {
      "a logical network must name a plugin or a physical network": `${textOf("object.spec", "plugin")} != "" || ${textOf("object.spec", "physicalNet")} != ""`,
      "sub_subnet must be a CIDR": isSubnet(
        textOf("object.spec", "sub_subnet"),
      ),
    },
  },
  {
    name: "genie-physical-networks",
    resource: "physicalnetworks",
    variables: { shared: sharedOf("object") },
    validations: {
      "a dedicated physical network must name a plugin": `!has(variables.shared.dedicatedNet) || !variables.shared.dedicatedNet || ${textOf("variables.shared", "plugin")} != ""`,
      "sharedStatus.subnet must be a CIDR": isSubnet(
        textOf("variables.shared", "subnet"),
      ),
    },
  },
  pairPolicy(
    "genie-logical-in-physical-networks",
    "logicalnetworks",
    ["object", "params"],
    "Physicalnetwork",
  ),
  pairPolicy(
    "genie-physical-around-logical-networks",
    "physicalnetworks",
    ["params", "object"],
    "Logicalnetwork",
  ),
];

function policyOf({
  name,
  resource,
  params,
  variables,
  validations,
}: Policy): object[] {
  const spec = {
    failurePolicy: "Fail",
    ...(params !== undefined && {
      paramKind: { apiVersion: `${group}/v1`, kind: params },
    }),
    matchConstraints: requests(group, ["CREATE", "UPDATE"], [resource]),
    variables: variablesOf(variables),
    validations: validationsOf(validations),
  };
  return boundPolicy("ValidatingAdmissionPolicy", name, spec, {
    validationActions: ["Deny"],
    // Params in the object's namespace; either object may be written first.
    ...(params !== undefined && {
      paramRef: { selector: {}, parameterNotFoundAction: "Allow" },
    }),
  });
}
