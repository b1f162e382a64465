import { describe, expect, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { NodeDirectory, ptpConf } from "../fixtures.ts";

describe("install, CRI-O", () => {
  const crio = (node: NodeDirectory) => node.write("etc/crio/crio.conf", "");
  const install = (node: NodeDirectory, words: string[]) =>
    node.type("install", [...node.below, ...words]);

  const advice =
    'add "disableGC": true to that file, or move it to another confDir\n';

  test.each<
    [
      what: string,
      prepare: (node: NodeDirectory) => void,
      words: string[],
      why: string,
    ]
  >([
    [
      "another default than before",
      () => {},
      ["--default=weave"],
      `network "canal-net" at its start (10-canal.conflist: it was the default network): ${advice}`,
    ],
    [
      "another network with GC",
      (node) =>
        node.network("20-weave.conf", { ...ptpConf, cniVersion: "1.1.0" }),
      [],
      `network "weave-net" at its start (20-weave.conf: its version has GC): ${advice}`,
    ],
    [
      "another network with pods",
      (node) =>
        node.write(
          "var/lib/cni/results/weave-net-c1-eth0",
          JSON.stringify({ networkName: "weave-net" }),
        ),
      [],
      `network "weave-net" at its start (20-weave.conf: pods are attached to it): ${advice}`,
    ],
  ])("%s, is refused", async (_, prepare, words, why) => {
    using node = new NodeDirectory();
    crio(node);
    prepare(node);
    const { exitCode, stderr } = await install(node, words);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: `genie install: running pods would lose their network: CRI-O deletes all attachments of ${why}`,
    });
    expect(existsSync(join(node.confDir, "00-genie.conflist"))).toBe(false);
  });

  test("the same on containerd, is not", async () => {
    using node = new NodeDirectory();
    expect((await node.type("install", ["--default=weave"])).exitCode).toBe(0);
  });

  test("disableGC, is enough", async () => {
    using node = new NodeDirectory();
    crio(node);
    node.network("20-weave.conflist", {
      name: "w",
      cniVersion: "1.1.0",
      disableGC: true,
      plugins: [{ type: "ptp" }],
    });
    rmSync(join(node.confDir, "20-weave.conf"));
    expect(await install(node, [])).toMatchObject({ exitCode: 0, stderr: "" });
    expect(node.config["name"]).toBe("canal-net");
  });
});

describe("install, containerd", () => {
  test.each<[what: string, settings: string, isWarned: boolean]>([
    ["looks for plugins elsewhere", 'bin_dir = "/usr/lib/cni"', true],
    ["has the same directories", 'bin_dir = "/opt/cni/bin/"', false],
    [
      "reads other networks",
      'bin_dir = "/usr/lib/cni"\nconf_dir = "/etc/other"',
      false,
    ],
  ])("%s", async (_, settings, isWarned) => {
    using node = new NodeDirectory();
    const table = '[plugins."io.containerd.grpc.v1.cri".cni]';
    node.write(
      "etc/containerd/config.toml",
      `version = 2\n${table}\n${settings}\n`,
    );
    const { exitCode, stdout } = await node.type("install", node.below);
    expect(exitCode).toBe(0);
    const warning =
      "warning   /etc/containerd/config.toml: plugins are looked for in /usr/lib/cni, not in /opt/cni/bin: every pod fails there: genie install --bin-dir /usr/lib/cni\n";
    expect(stdout.includes(warning)).toBe(isWarned);
  });

  test("of k3s, a refusal names its directories", async () => {
    using node = new NodeDirectory();
    for (const file of ["10-canal.conflist", "20-weave.conf"])
      rmSync(join(node.confDir, file));
    node.write(
      "var/lib/rancher/k3s/agent/etc/containerd/config.toml",
      `version = 3
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/var/lib/rancher/k3s/data/cni"]
conf_dir = "/var/lib/rancher/k3s/agent/etc/cni/net.d"
`,
    );
    const { exitCode, stderr } = await node.type("install", node.below);
    const file = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml";
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: `genie install: no default network: /etc/cni/net.d holds no other CNI configuration; ${file}: networks are read from /var/lib/rancher/k3s/agent/etc/cni/net.d, not from /etc/cni/net.d: genie install --conf-dir /var/lib/rancher/k3s/agent/etc/cni/net.d; ${file}: plugins are looked for in /var/lib/rancher/k3s/data/cni, not in /opt/cni/bin: genie install --bin-dir /var/lib/rancher/k3s/data/cni\n`,
    });
  });
});
