import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { NodeDirectory, ptpConf, speaksAll } from "../fixtures.ts";
import {
  cluster,
  diagnosed,
  ofRuntime,
  testTroubles,
  troubles,
} from "./diagnosis.ts";

afterAll(removeCerts);

describe("doctor", () => {
  test("a node in order, every check is ok", async () => {
    await using server = await startApiServer();
    cluster(server);
    const kubeconfig = server.kubeconfig();
    chmodSync(kubeconfig, 0o600);
    using node = await NodeDirectory.installed(`--kubeconfig=${kubeconfig}`);
    node.record();
    const { exitCode, findings } = await diagnosed(node);
    expect({ exitCode, troubles: troubles(findings) }).toEqual({
      exitCode: 0,
      troubles: [],
    });
    expect(
      findings
        .filter((one) => !ofRuntime(one))
        .map(({ check, found }) => [check, found]),
    ).toEqual([
      [
        "executable",
        "/opt/cni/bin/genie supports CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0",
      ],
      [
        "configuration",
        "the runtime takes 00-genie.conflist: it is the first of /etc/cni/net.d, and executes genie",
      ],
      ["default network", '"canal", whose name is "canal-net"'],
      [
        "network canal",
        "10-canal.conflist: version 1.0.0, plugins bridge, portmap",
      ],
      ["network weave", "20-weave.conf: version 0.4.0, plugins ptp"],
      ["kubeconfig", `${kubeconfig} can be read`],
      ["token", "is in the kubeconfig and has no expiry"],
      ["API server", `${server.url} responds: v1.33.1, as genie`],
      ["may get pods", "allowed"],
      ["may patch pods/status", "allowed"],
      ["may get network-attachment-definitions", "allowed"],
      ["mutating policies", "the API server has them"],
      [
        "kubelet's devices",
        'failed to get device plugins from kubelet at "/var/lib/kubelet/pod-resources/kubelet.sock": no such socket',
      ],
      [
        "node name",
        "nodeName is not configured; only devices of claims need it",
      ],
      ["records", "/var/lib/genie can be written"],
      ["left-over records", "none among 1 record"],
    ]);
    expect(
      server.requests.map(({ method, path, user }) => [method, path, user]),
    ).toEqual([
      ["GET", "/version", "genie"],
      ["POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "genie"],
      ...Array.from({ length: 3 }, () => [
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "genie",
      ]),
      ["GET", "/apis/admissionregistration.k8s.io/v1", "genie"],
      [
        "GET",
        "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions?limit=1000",
        "genie",
      ],
    ]);
  });

  testTroubles([
    [
      "no executable",
      (node) => rmSync(join(node.binDir, "genie")),
      ["executable", "fail", "/opt/cni/bin/genie is missing"],
    ],
    [
      "an executable that does not run",
      (node) => node.plugin("genie", "#!/bin/sh\necho broken >&2\nexit 1\n"),
      [
        "executable",
        "fail",
        '/opt/cni/bin/genie cannot be executed: plugin "genie" failed to report its versions: netplugin failed: "broken": exit status 1',
      ],
    ],
    [
      "another build",
      (node) => node.plugin("genie", `${speaksAll}# newer\n`),
      [
        "executable",
        "warn",
        "/opt/cni/bin/genie supports CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0, but is another build than this one",
      ],
    ],
  ]);

  test("a node without genie, advice to install it", async () => {
    using node = new NodeDirectory();
    const { exitCode, findings } = await diagnosed(node);
    expect({ exitCode, troubles: troubles(findings) }).toEqual({
      exitCode: 1,
      troubles: [
        ["executable", "fail", "/opt/cni/bin/genie is missing"],
        ["configuration", "fail", "no file of /etc/cni/net.d executes genie"],
      ],
    });
  });

  test("-o table, one line for each finding, in colour on a terminal", async () => {
    using node = await NodeDirectory.installed();
    rmSync(join(node.binDir, "ptp"));
    const plain = await node.type("doctor");
    expect(plain.exitCode).toBe(1);
    expect(plain.stdout).toMatch(
      /\nfail  network weave +20-weave\.conf: .*\n {20,}→ install the missing plugins into /,
    );
    // The machine's own runtime may add to them.
    expect(plain.stdout).toMatch(/ok, 1 warning, [1-9] failures?\n$/);
    const coloured = await node.type("doctor", [], { colour: true });
    expect(coloured.stdout).toContain(
      "\u001b[31mfail\u001b[0m  network weave ",
    );
    expect(Bun.stripANSI(coloured.stdout)).toBe(plain.stdout);
  });

  test("-o table, a file name with control characters is in one line and harmless", async () => {
    using node = await NodeDirectory.installed();
    node.network("30-a\n\u001b[31mb.conf", { ...ptpConf, name: "odd" });
    const { stdout } = await node.type("doctor");
    expect(stdout).toMatch(
      /^ok {4}network a\\n\\u001b\[31mb +30-a\\n\\u001b\[31mb\.conf: /m,
    );
  });
});
