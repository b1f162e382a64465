/**
 * `genie manifest`: the Kubernetes objects, as YAML on stdout.
 */
import { type Command, UsageError } from "./command.ts";
import { folderOptions, foldersOf } from "./folders.ts";
import { objects } from "./objects.ts";

/** A registry's name with a tag or a digest, as containerd takes it. */
const imagePattern = /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/;
const namespacePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export const manifest: Command = {
  about: `For \`kubectl apply -f -\`. With --node-credentials genie asks as the node itself: then the nodes
are allowed to get definitions, and nothing else is.`,
  options: {
    image: {
      value: "IMAGE",
      about: "has this executable as its entry point (genie:<version>)",
    },
    namespace: { value: "NS", short: "n", about: "of genie (kube-system)" },
    "node-credentials": {
      about: "use the kubelet's kubeconfig, no service account",
    },
    kubeconfig: {
      value: "FILE",
      path: "file",
      about:
        "the kubelet's, with --node-credentials (/etc/kubernetes/kubelet.conf)",
    },
    default: { value: "NETWORK", about: "the default network of every node" },
    ...folderOptions,
  },
  async run(input, { stdout, version }) {
    const image = input.text("image") ?? `genie:${version}`;
    const namespace = input.text("namespace") ?? "kube-system";
    if (!imagePattern.test(image))
      throw new UsageError(`--image: ${JSON.stringify(image)} is no image`);
    if (!namespacePattern.test(namespace))
      throw new UsageError(
        `--namespace: ${JSON.stringify(namespace)} is no namespace`,
      );
    const nodeCredentials = input.flag("node-credentials");
    const kubeconfig = input.path("kubeconfig");
    if (kubeconfig !== undefined && !nodeCredentials)
      throw new UsageError("--kubeconfig needs --node-credentials");
    const documents = objects({
      image,
      namespace,
      kubeconfig: nodeCredentials
        ? (kubeconfig ?? "/etc/kubernetes/kubelet.conf")
        : undefined,
      defaultNetwork: input.text("default"),
      folders: foldersOf(input),
    }).map((object) => `${yaml(object)}\n`);
    await stdout(documents.join("---\n"));
    return 0;
  },
};

/** What two objects share is written out twice: anchors are legal, but no joy to read. */
function yaml(object: object): string {
  return Bun.YAML.stringify(JSON.parse(JSON.stringify(object)), null, 2);
}
