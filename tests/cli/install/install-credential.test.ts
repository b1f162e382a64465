import { describe, expect, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { chooseCredential } from "../../../lib/cli/install/credential.ts";
import { defaultDirectories } from "../../../lib/cli/node/directories.ts";
import { Host } from "../../../lib/cli/node/host.ts";
import { readKubeconfig } from "../../../lib/kube/access/kubeconfig.ts";
import { NodeDirectory } from "../fixtures.ts";
import {
  account,
  inCluster,
  kubeletConf,
  plainKubeconfig,
} from "./credentials.ts";

describe("install, credentials", () => {
  test("a service account, token and authority are copied, nobody else can read them", async () => {
    using node = new NodeDirectory();
    await node.type("install", ["--service-account", account(node)], {
      env: inCluster,
    });
    const directory = join(node.confDir, "genie.d");
    expect(readKubeconfig(join(directory, "kubeconfig"))).toEqual({
      cluster: {
        server: "https://10.96.0.1:443",
        certificateAuthority: expect.objectContaining({
          file: join(directory, "ca.crt"),
        }),
        insecure: false,
      },
      user: { tokenFile: join(directory, "token") },
    });
    expect(
      ["", "/kubeconfig", "/token", "/ca.crt"].map((file) =>
        node.mode(`etc/cni/net.d/genie.d${file}`),
      ),
    ).toEqual([0o700, 0o600, 0o600, 0o600]);
    expect(node.read("etc/cni/net.d/genie.d/token")).toBe("token-1");
    expect(node.read("etc/cni/net.d/genie.d/kubeconfig")).not.toContain(
      "insecure",
    );
    expect(node.config["plugins"]).toEqual([
      expect.objectContaining({
        kubernetes: { kubeconfig: join(directory, "kubeconfig") },
      }),
    ]);
  });

  test.each<[what: string, existing: string | undefined, chosen: string]>([
    ["the kubelet's kubeconfig comes first", undefined, kubeletConf],
    ["an earlier run's own files do not", "genie.d", kubeletConf],
    ["the operator's choice stays", "/etc/own.conf", "/etc/own.conf"],
  ])("in a pod with an account, %s", (_, former, chosen) => {
    using node = new NodeDirectory();
    node.write("etc/kubernetes/kubelet.conf", plainKubeconfig);
    node.write("etc/own.conf", "");
    node.write("etc/cni/net.d/genie.d/kubeconfig", "");
    const existing =
      former === "genie.d" ? "/etc/cni/net.d/genie.d/kubeconfig" : former;
    const choose = (isRequired: boolean) =>
      chooseCredential(
        { account: { directory: account(node), isRequired } },
        existing,
        { ...defaultDirectories, host: new Host(node.root) },
        inCluster,
      );
    expect(choose(false)).toMatchObject({ kind: "given", kubeconfig: chosen });
    expect(choose(true)).toMatchObject({ kind: "written" });
    if (chosen !== kubeletConf) return;
    node.write("etc/kubernetes/kubelet.conf", "incomplete");
    expect(choose(false)).toMatchObject({ kind: "written" });
    rmSync(join(node.root, "etc/kubernetes/kubelet.conf"));
    expect(choose(false)).toMatchObject({ kind: "written" });
  });

  test("a required account that is not there, is an error", async () => {
    using node = new NodeDirectory();
    expect(
      await node.type("install", ["--service-account=/none"], {
        env: inCluster,
      }),
    ).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(
        '--service-account: no token and ca.crt in "/none"',
      ),
    });
    expect(existsSync(join(node.binDir, "genie"))).toBe(false);
  });

  test("a kubeconfig, is used where it is", async () => {
    using node = new NodeDirectory();
    const path = node.write("kubelet.conf", plainKubeconfig);
    await node.type("install", ["--kubeconfig", path]);
    expect(node.config["plugins"]).toEqual([
      expect.objectContaining({ kubernetes: { kubeconfig: path } }),
    ]);
    expect(existsSync(join(node.confDir, "genie.d"))).toBe(false);
    // Later runs keep it.
    expect((await node.type("install")).stdout).toContain(
      `unchanged ${path}: the credential (as before)\n`,
    );
  });

  test.each<[words: string[], cluster: object, user: object]>([
    [
      ["--certificate-authority=/pki/ca.crt", "--token-file=/run/token"],
      { server: "https://api:6443", "certificate-authority": "/pki/ca.crt" },
      { tokenFile: "/run/token" },
    ],
    [
      [
        "--certificate-authority=/pki/ca.crt",
        "--client-certificate=/c.crt",
        "--client-key=/c.key",
      ],
      { server: "https://api:6443", "certificate-authority": "/pki/ca.crt" },
      { "client-certificate": "/c.crt", "client-key": "/c.key" },
    ],
    [
      ["--token-file=/run/token", "--insecure-skip-tls-verify"],
      { server: "https://api:6443", "insecure-skip-tls-verify": true },
      { tokenFile: "/run/token" },
    ],
  ])("%j, a kubeconfig that names them", async (words, cluster, user) => {
    using node = new NodeDirectory();
    const { exitCode } = await node.type("install", [
      "--server=https://api:6443",
      ...words,
    ]);
    expect(exitCode).toBe(0);
    expect(
      Bun.YAML.parse(node.read("etc/cni/net.d/genie.d/kubeconfig")),
    ).toEqual({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "genie",
      contexts: [
        { name: "genie", context: { cluster: "genie", user: "genie" } },
      ],
      clusters: [{ name: "genie", cluster }],
      users: [{ name: "genie", user }],
    });
  });
});
