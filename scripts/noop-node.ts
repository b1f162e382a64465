/**
 * A node whose only network has a plugin that does nothing. The executable goes
 * through every verb without privileges and real plugins: for the profile of a
 * release, the smoke tests and the bench.
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const annotationsKey = "io.kubernetes.cri.pod-annotations";

/**
 * The delegate: reads its input and prints a result, by the shell's own means,
 * because every program that it would start is time that is not genie's.
 */
const noop = `#!/bin/sh
while read -r line || [ -n "$line" ]; do :; done
[ "$CNI_COMMAND" != ADD ] ||
  printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","sandbox":"%s"}],"ips":[{"address":"10.1.2.3/24","interface":0}]}\\n' "$CNI_IFNAME" "$CNI_NETNS"
`;

/** The pod of every call, unless another one is given. */
export const pod = {
  namespace: "default",
  name: "p",
  uid: "c0ffee00-0000-4000-8000-000000000001",
};

export class NoopNode implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "genie-noop-"));
  readonly binDir = join(this.directory, "bin");
  readonly dataDir = join(this.directory, "data");
  readonly netns: string;
  readonly #pod: typeof pod;
  readonly confDir = join(this.directory, "net.d");

  /** The pod's namespace need not be there: the delegate does not look for it. */
  constructor(netns?: string, ofCalls = pod) {
    this.#pod = ofCalls;
    this.netns = netns ?? join(this.directory, "netns");
    for (const directory of [this.binDir, this.confDir]) mkdirSync(directory);
    this.plugin("noop", noop);
    this.network("noop", ["noop"], "10");
  }

  /** Adds a network of plugins; the first in byte order of `prefix` and name is the default. */
  network(name: string, types: readonly string[], prefix = "20"): void {
    const plugins = types.map((type) => ({ type }));
    const list = { cniVersion: "1.0.0", name, plugins };
    writeFileSync(
      join(this.confDir, `${prefix}-${name}.conflist`),
      JSON.stringify(list),
    );
  }

  /** Replaces the delegate, or adds another. */
  plugin(type: string, text: string | Uint8Array): string {
    const path = join(this.binDir, type);
    writeFileSync(path, text);
    chmodSync(path, 0o755);
    return path;
  }

  /** Genie's configuration as a runtime passes it, with the pod's annotations. */
  withAnnotations(
    overrides: Record<string, unknown> = {},
    annotations: Record<string, string> = { cni: "noop" },
  ): string {
    return this.withoutAnnotations({
      capabilities: { [annotationsKey]: true },
      runtimeConfig: { [annotationsKey]: annotations },
      ...overrides,
    });
  }

  /** The same of a runtime that passes none: the API server has to be asked. */
  withoutAnnotations(overrides: Record<string, unknown> = {}): string {
    return JSON.stringify({
      cniVersion: "1.1.0",
      name: "genie",
      type: "genie",
      confDir: this.confDir,
      dataDir: this.dataDir,
      ...overrides,
    });
  }

  /** All that a runtime sets for a call. */
  env(
    command: string,
    containerId: string,
    { namespace, name, uid } = this.#pod,
  ): Record<string, string> {
    const args = {
      IgnoreUnknown: "1",
      K8S_POD_NAMESPACE: namespace,
      K8S_POD_NAME: name,
      K8S_POD_INFRA_CONTAINER_ID: containerId,
      K8S_POD_UID: uid,
    };
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: this.netns,
      CNI_IFNAME: "eth0",
      CNI_ARGS: Object.entries(args)
        .map(([key, value]) => `${key}=${value}`)
        .join(";"),
      CNI_PATH: this.binDir,
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
