/** All objects of `genie manifest`, in the order in which they can be applied. Pure. */
import { admissionPolicy } from "./admission-policy.ts";
import { type DaemonSetOptions, daemonSet } from "./daemonset.ts";
import { networkAttachmentDefinition } from "./definition.ts";
import type { Contribution } from "./feature.ts";
import { accountRole, name, nodeRole } from "./rbac.ts";

export type ManifestOptions = Omit<DaemonSetOptions, "image" | "hasAccount"> & {
  /** undefined: no DaemonSet. */
  image: string | undefined;
  /** Values by keys of genie's configuration, as JSON. */
  settings: Readonly<Record<string, string>>;
};

/** `install` chooses the credential on the node, so both kinds get their rights. */
export function objects(
  options: ManifestOptions,
  contributions: readonly Contribution[],
): object[] {
  const { image, namespace, credential, settings, isUninstall } = options;
  if (isUninstall && image !== undefined)
    return [daemonSet({ ...options, image, hasAccount: false }, [])];
  const all = <T>(of: (one: Contribution) => readonly T[] | undefined): T[] =>
    contributions.flatMap((one) => of(one) ?? []);
  const accountRules = all((one) => one.accountRules);
  const nodeRules = all((one) => one.nodeRules);
  // The parts of the agent use the account whatever the plugin uses.
  const hasAccount = credential !== "node" || accountRules.length > 0;
  return [
    networkAttachmentDefinition,
    ...all((one) => one.definitions),
    ...(hasAccount
      ? [...accountRole(namespace, accountRules), ...admissionPolicy(namespace)]
      : []),
    ...(credential === "account" && nodeRules.length === 0
      ? []
      : nodeRole(nodeRules)),
    ...all((one) => one.objects),
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace },
      data: settings,
    },
    ...(image === undefined
      ? []
      : [daemonSet({ ...options, image, hasAccount }, contributions)]),
  ];
}
