/**
 * What CNI-Genie's webhook meant to hold, as ValidatingAdmissionPolicies (selection.md
 * §9). A logical network is held against its physical network when either of them is
 * written; ADD validates both again.
 */
import {
  boundPolicy,
  requests,
  validationsOf,
  valueOr,
  variablesOf,
} from "./policy.ts";

export const group = "alpha.network.k8s.io";

/** Each policy with its binding. */
export function logicalNetworkPolicies(): object[] {
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
  /** The kind of the objects of the namespace that the object is held against, each. */
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
