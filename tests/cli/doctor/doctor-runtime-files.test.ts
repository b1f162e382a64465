import { describe, expect, test } from "bun:test";
import { NodeDirectory } from "../fixtures.ts";
import { diagnosed, troubles } from "./diagnosis.ts";

describe("doctor, the runtime", () => {
  const containerdCni = (text: string) =>
    `version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\n${text}\n`;

  test.each<[what: string, files: Record<string, string>, found: string[]]>([
    [
      "containerd imports a file by a relative pattern, which counts",
      {
        "etc/containerd/config.toml": `imports = ["conf.d/*.toml"]\n${containerdCni('bin_dirs = ["/opt/cni/bin"]')}`,
        "etc/containerd/conf.d/cni.toml": containerdCni(
          'bin_dirs = ["/usr/lib/cni"]',
        ),
        "etc/containerd/conf.d/cni.bak": containerdCni('conf_dir = "/other"'),
      },
      [
        "/etc/containerd/config.toml, /etc/containerd/conf.d/cni.toml: plugins are looked for in /usr/lib/cni, not in /opt/cni/bin",
      ],
    ],
    [
      "a containerd that imports itself",
      {
        "etc/containerd/config.toml": `imports = ["*.toml"]\n${containerdCni('bin_dirs = ["/opt/cni/bin"]')}`,
      },
      ["/etc/containerd/config.toml agrees"],
    ],
    [
      "CRI-O's later files override the first, key by key",
      {
        "etc/crio/crio.conf":
          '[crio.network]\nnetwork_dir = "/etc/a"\nplugin_dirs = ["/a"]\n',
        "etc/crio/crio.conf.d/10-a.conf":
          '[crio.network]\nnetwork_dir = "/etc/cni/net.d"\n',
        "etc/crio/crio.conf.d/20-b.conf":
          '[crio.network]\nplugin_dirs = ["/opt/cni/bin"]\n',
      },
      [
        "/etc/crio/crio.conf, /etc/crio/crio.conf.d/10-a.conf, /etc/crio/crio.conf.d/20-b.conf agrees",
      ],
    ],
  ])("%s", async (_, files, found) => {
    using node = new NodeDirectory();
    await node.type("install", node.below);
    for (const [file, text] of Object.entries(files)) node.write(file, text);
    const { findings } = await diagnosed(node, node.below);
    expect(
      findings
        .filter(({ check }) => check.endsWith(" directories"))
        .map((finding) => finding.found),
    ).toEqual(found);
  });

  test.each<[file: string, text: string, trouble: string[]]>([
    [
      "etc/containerd/config.toml",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"\nconf_dir = "/etc/cni/net.d"\n',
      [
        "containerd directories",
        "fail",
        "/etc/containerd/config.toml: plugins are looked for in /usr/lib/cni, not in /opt/cni/bin",
      ],
    ],
    [
      "etc/containerd/config.toml",
      "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/opt/cni/bin']\nconf_dir = '/etc/other'\n",
      [
        "containerd directories",
        "fail",
        "/etc/containerd/config.toml: networks are read from /etc/other, not from /etc/cni/net.d",
      ],
    ],
    [
      "etc/containerd/config.toml",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nmax_conf_num = 0\n',
      [
        "containerd files",
        "fail",
        "/etc/containerd/config.toml: max_conf_num is 0, so every pod gets the other networks as well, without genie",
      ],
    ],
    [
      "etc/crio/crio.conf.d/10-a.conf",
      '[crio.network]\ncni_default_network = "weave-net"\nplugin_dirs = ["/opt/cni/bin/"]\n',
      [
        "crio network",
        "fail",
        '/etc/crio/crio.conf.d/10-a.conf: cni_default_network is "weave-net", so CRI-O does not take the first file',
      ],
    ],
    [
      "var/lib/cni/results/weave-net-c1-eth0",
      '{"networkName":"weave-net"}',
      [
        "CRI-O's GC",
        "fail",
        'network "weave-net" would lose its pods at CRI-O\'s next start',
      ],
    ],
  ])("%s %j, is found", async (file, text, trouble) => {
    using node = new NodeDirectory();
    await node.type("install", node.below);
    node.write("etc/crio/crio.conf", "");
    node.write(file, text);
    const { exitCode, findings } = await diagnosed(node, node.below);
    const found = troubles(findings, ({ check }) => check === trouble[0]);
    expect({ exitCode, found }).toEqual({ exitCode: 1, found: [trouble] });
  });

  test("containerd without a loopback plugin, is warned of", async () => {
    using node = new NodeDirectory();
    await node.type("install", node.below);
    node.write("run/containerd/containerd.sock", "");
    const loopback = async () => {
      const { findings } = await diagnosed(node, node.below);
      return findings.filter(({ check }) => check === "loopback");
    };
    expect(await loopback()).toEqual([
      {
        check: "loopback",
        verdict: "warn",
        found: 'no plugin "loopback" in /opt/cni/bin',
        advice:
          "install the reference plugins, unless containerd has use_internal_loopback",
      },
    ]);
    node.plugin("loopback");
    expect(await loopback()).toEqual([]);
  });
});
