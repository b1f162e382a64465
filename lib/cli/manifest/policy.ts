/** Admission policies, as the manifest has them: each with a binding of its name. */

/** The policy and its binding. */
export function boundPolicy(
  kind: "MutatingAdmissionPolicy" | "ValidatingAdmissionPolicy",
  name: string,
  spec: object,
  binding: object,
): object[] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const metadata = { name };
  return [
    { apiVersion, kind, metadata, spec },
    {
      apiVersion,
      kind: `${kind}Binding`,
      metadata,
      spec: { policyName: name, ...binding },
    },
  ];
}

/** The requests that a policy judges. */
export function requests(
  group: string,
  operations: readonly ("CREATE" | "UPDATE")[],
  resources: readonly string[],
): object {
  const rule = {
    apiGroups: [group],
    apiVersions: ["v1"],
    operations,
    resources,
  };
  return { resourceRules: [rule] };
}

/** CEL: the value of a field; `otherwise` if it is absent. */
export function valueOr(field: string, otherwise: string): string {
  return `has(${field}) ? ${field} : ${otherwise}`;
}

/** CEL expressions that must be true, by the messages of a refusal. */
export function validationsOf(expressions: Readonly<Record<string, string>>) {
  return Object.entries(expressions).map(([message, expression]) => ({
    expression,
    message,
  }));
}

/** CEL expressions by name; each may use those before it. */
export function variablesOf(expressions: Readonly<Record<string, string>>) {
  return Object.entries(expressions).map(([name, expression]) => ({
    name,
    expression,
  }));
}
