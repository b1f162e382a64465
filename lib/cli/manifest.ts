/**
 * `genie manifest`: the Kubernetes objects that genie needs, as YAML on stdout. Each
 * optional part has a module in `manifest/`.
 */
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { readConfig } from "../select/config.ts";
import type { Command } from "./command/command.ts";
import { type Input, UsageError } from "./command/input.ts";
import { optionsOf, takesPath } from "./command/options.ts";
import { yamlOf } from "./command/output.ts";
import { ownPlugin } from "./install/own-list.ts";
import {
  type Settings,
  parseSettings,
  setOption,
  withSettings,
} from "./install/settings.ts";
import { admissionPolicy } from "./manifest/admission-policy.ts";
import { agent } from "./manifest/agent.ts";
import { choicePolicy } from "./manifest/choice-policy.ts";
import { type DaemonSetOptions, daemonSet } from "./manifest/daemonset.ts";
import { networkAttachmentDefinition } from "./manifest/definition.ts";
import { dra } from "./manifest/dra.ts";
import type { Contribution, Feature } from "./manifest/feature.ts";
import { logicalNetworks } from "./manifest/logical-networks.ts";
import { accountRole, nodeRole, objectName } from "./manifest/rbac.ts";
import { directoriesOf, directoryOptions } from "./node/directories.ts";

const features: readonly Feature[] = [
  agent,
  choicePolicy,
  dra,
  logicalNetworks,
];

const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
/**
 * `[registry[:port]/]path[:tag][@digest]`, as containerd accepts it. The chart's schema
 * has the pattern too.
 */
export const imagePattern = new RegExp(
  `^(?:(?:[A-Za-z0-9.-]+|\\[[0-9A-Fa-f:]+\\])(?::[0-9]+)?/)?${component}(?:/${component})*` +
    "(?::\\w[\\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-f]+)?$",
);
const namespacePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export const manifest: Command = {
  about: `For \`kubectl apply -f -\`. The DaemonSet needs --image, the image that you built and pushed
(\`make image\`); without it, everything else is printed. On every node, genie uses the kubelet's
kubeconfig where it finds one, else a service account of its own.`,
  options: {
    ...optionsOf({
      "--image IMAGE": "container image whose entry point is this executable",
      "-n, --namespace NS":
        "namespace of genie's objects (default kube-system)",
      "--node-credentials":
        "use the kubelet's kubeconfig only: no service account",
      "--kubeconfig FILE":
        "kubeconfig of --node-credentials (default: where it usually is)",
      "--service-account":
        "use the service account even where the kubelet has a kubeconfig",
      "--default NETWORK":
        "network of pods that choose none (default each node's first file)",
    }),
    ...setOption,
    ...optionsOf({
      "--uninstall":
        "print the DaemonSet that removes genie from every node; it replaces the one that installs",
    }),
    ...directoryOptions,
    ...Object.fromEntries(
      features.flatMap((feature) => Object.entries(feature.options)),
    ),
  },
  async run(input, { stdout, stderr }) {
    const text = yamlOf(...manifestObjects(input));
    const hasImage = input.text("image") !== undefined;
    if (hasImage && input.flag("network-scheduling") && !input.flag("labels"))
      stderr(
        "genie manifest: warning: --network-scheduling needs --labels: without it, no node has the labels that pods wait for\n",
      );
    await stdout(hasImage ? text : noDaemonSet + text);
    return 0;
  },
};

/** Throws UsageError. */
export function manifestObjects(input: Input): object[] {
  const contributions = features.flatMap(
    (feature) => feature.contribute(input) ?? [],
  );
  return orderedObjects(manifestOptions(input), contributions);
}

type ManifestOptions = Omit<DaemonSetOptions, "image" | "hasAccount"> & {
  /** undefined: no DaemonSet. */
  image: string | undefined;
  /** Values by keys of genie's configuration, as JSON. */
  settings: Readonly<Record<string, string>>;
};

/**
 * In the order in which they can be applied. `install` chooses the credential on the node,
 * so both kinds get their rights.
 */
function orderedObjects(
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
      metadata: { name: objectName, namespace },
      data: settings,
    },
    ...(image === undefined
      ? []
      : [daemonSet({ ...options, image, hasAccount }, contributions)]),
  ];
}

/** An image name that is not ours is never a default: anyone could publish it. */
const noDaemonSet =
  "# Without a DaemonSet: it needs --image, the image that `make image` builds and you push.\n";

function manifestOptions(input: Input): ManifestOptions {
  requireNames(input);
  const byNode = input.flag("node-credentials");
  const byAccount = input.flag("service-account");
  const kubeconfig = input.path("kubeconfig");
  input.need("kubeconfig", "node-credentials");
  input.exclude("node-credentials", "service-account");
  requirePathsOfNode(input);
  input.need("uninstall", "image");
  const settings = parseSettings(input);
  requireValidSettings(settings);
  const directories = directoriesOf(input);
  const dataDir = settings.get("dataDir");
  return {
    image: input.text("image"),
    namespace: namespaceOf(input),
    credential: byNode ? "node" : byAccount ? "account" : "default",
    defaultNetwork: input.text("default"),
    directories: {
      ...directories,
      // The DaemonSet mounts it.
      dataDir:
        directories.dataDir ??
        (typeof dataDir === "string" ? dataDir : undefined),
    },
    settings: {
      // Installed as it is: `install` keeps a kubeconfig that is configured.
      ...(kubeconfig !== undefined && {
        "kubernetes.kubeconfig": JSON.stringify(kubeconfig),
      }),
      ...Object.fromEntries(
        [...settings].map(([key, value]) => [key, JSON.stringify(value)]),
      ),
    },
    isUninstall: input.flag("uninstall"),
  };
}

/** Throws UsageError for an invalid image or namespace. */
function requireNames(input: Input): void {
  const image = input.text("image");
  const namespace = namespaceOf(input);
  if (image !== undefined && !imagePattern.test(image))
    throw new UsageError(
      `--image: ${quote(image)} is not the name of an image`,
    );
  if (!namespacePattern.test(namespace))
    throw new UsageError(
      `--namespace: ${quote(namespace)} is not the name of a namespace`,
    );
}

function namespaceOf(input: Input): string {
  return input.text("namespace") ?? "kube-system";
}

/** A relative path would be one of the machine that prints the manifest. */
function requirePathsOfNode(input: Input): void {
  for (const [name, option] of Object.entries(manifest.options)) {
    const text = takesPath(option) ? input.text(name) : undefined;
    if (text !== undefined && !new RegExp(nodePath).test(text))
      throw new UsageError(
        `--${name}: expected an absolute path of the nodes, got ${quote(text)}`,
      );
  }
}

/** A directory that the DaemonSet can mount: not `/`. The chart's schema has the pattern too. */
export const nodePath = "^/+[^/]";

/** Throws UsageError for a value that every node would refuse. */
function requireValidSettings(settings: Settings): void {
  try {
    readConfig(ownPlugin(withSettings(undefined, settings)?.value));
  } catch (error) {
    throw new UsageError(`--set: ${messageOf(error)}`);
  }
}
