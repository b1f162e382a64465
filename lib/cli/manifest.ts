/**
 * `genie manifest`: the Kubernetes objects, as YAML on stdout.
 */
import { type Command, UsageError } from "./command.ts";
import { directoryOptions, directoriesOf } from "./directories.ts";
import { objects } from "./objects.ts";

/** An image reference with tag or digest, as containerd accepts it. */
const imagePattern = /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/;
const namespacePattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export const manifest: Command = {
  about: `For \`kubectl apply -f -\`. Genie uses a service account of its own. With --node-credentials it uses the
kubelet's kubeconfig: then there is no account, and nodes get the right to read network attachment
definitions.`,
  options: {
    image: {
      value: "IMAGE",
      about:
        "container image whose entry point is this executable (default genie:<version>)",
    },
    namespace: {
      value: "NS",
      short: "n",
      about: "namespace of genie's objects (default kube-system)",
    },
    "node-credentials": {
      about: "use the kubelet's kubeconfig in place of a service account",
    },
    kubeconfig: {
      value: "FILE",
      path: "file",
      about:
        "kubeconfig of --node-credentials (default /etc/kubernetes/kubelet.conf)",
    },
    default: {
      value: "NETWORK",
      about:
        "network of pods that choose none (default each node's first file)",
    },
    ...directoryOptions,
  },
  async run(input, { stdout, version }) {
    const image = input.text("image") ?? `genie:${version}`;
    const namespace = input.text("namespace") ?? "kube-system";
    if (!imagePattern.test(image))
      throw new UsageError(
        `--image: ${JSON.stringify(image)} is not the name of an image`,
      );
    if (!namespacePattern.test(namespace))
      throw new UsageError(
        `--namespace: ${JSON.stringify(namespace)} is not the name of a namespace`,
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
      directories: directoriesOf(input),
    }).map((object) => `${yaml(object)}\n`);
    await stdout(documents.join("---\n"));
    return 0;
  },
};

/** Without YAML anchors: objects that share a part repeat it, for the reader. */
function yaml(object: object): string {
  return Bun.YAML.stringify(JSON.parse(JSON.stringify(object)), null, 2);
}
