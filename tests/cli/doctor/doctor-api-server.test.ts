import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { statusFault } from "../../support/api-faults.ts";
import { type ApiServer, startApiServer } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { NodeDirectory } from "../fixtures.ts";
import { cluster, diagnosed } from "./diagnosis.ts";

afterAll(removeCerts);

const daemonPod = (uid: string) => ({
  metadata: { namespace: "kube-system", name: "genie-x7", uid },
});

describe("doctor, the API server", () => {
  test("a permission that is missing, is a failure with its remedy", async () => {
    await using server = await startApiServer();
    cluster(server, { denied: ["pods/status"] });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { exitCode, findings } = await diagnosed(node);
    expect({
      exitCode,
      finding: findings.find(({ check }) => check === "may patch pods/status"),
    }).toEqual({
      exitCode: 1,
      finding: {
        check: "may patch pods/status",
        verdict: "fail",
        found: "denied; needed for the network status of pods",
        advice: "genie manifest | kubectl apply -f -",
      },
    });
  });

  test("no mutating policies, are told and no fault", async () => {
    await using server = await startApiServer();
    cluster(server, { policies: [] });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { exitCode, findings } = await diagnosed(node);
    expect({
      exitCode,
      finding: findings.find(({ check }) => check === "mutating policies"),
    }).toEqual({
      exitCode: 0,
      finding: {
        check: "mutating policies",
        verdict: "skip",
        found:
          "the API server has no MutatingAdmissionPolicy v1, stable since Kubernetes 1.36; needed for `genie manifest --namespace-networks` and `--network-scheduling`",
      },
    });
  });

  test("the node's own credential, is asked about its own pods only", async () => {
    await using server = await startApiServer();
    cluster(server, { user: "system:node:n1" });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { findings } = await diagnosed(node);
    expect(
      findings
        .filter(({ check }) => check.startsWith("may "))
        .map(({ verdict }) => verdict),
    ).toEqual(["skip", "skip", "ok"]);
  });

  test.each<
    [
      what: string,
      break_: (server: ApiServer) => Promise<void> | void,
      found: RegExp,
    ]
  >([
    [
      "stopped",
      (server) => server.stop(),
      /^server "https:[^ ]+": connection refused$/,
    ],
    [
      "a token that it does not know",
      (server) => server.tokens.clear(),
      /^https:[^ ]+: unauthorized$/,
    ],
  ])("%s, is a failure", async (_, break_, found) => {
    await using server = await startApiServer();
    const kubeconfig = server.kubeconfig();
    const text = await Bun.file(kubeconfig).text();
    using node = new NodeDirectory();
    const own = node.write("kubeconfig", text, 0o600);
    await node.type("install", ["--kubeconfig", own]);
    await break_(server);
    const { exitCode, findings } = await diagnosed(node);
    expect({
      exitCode,
      finding: findings.find(({ check }) => check === "API server"),
    }).toEqual({
      exitCode: 1,
      finding: expect.objectContaining({
        verdict: "fail",
        found: expect.stringMatching(found),
      }),
    });
  });

  test.each<[left: number, verdict: string, found: RegExp]>([
    [-60, "fail", /^expired at /],
    [60, "warn", /in less than five minutes$/],
    [3600, "ok", /^valid until /],
  ])("a token file with %p s left, %s", async (left, verdict, found) => {
    using node = new NodeDirectory();
    const claims = Buffer.from(
      JSON.stringify({ exp: Math.floor(Date.now() / 1000) + left }),
    ).toString("base64url");
    const token = node.write("token", `e30.${claims}.c2ln`);
    await node.type("install", [
      "--server=http://127.0.0.1:1",
      `--token-file=${token}`,
    ]);
    const { findings } = await diagnosed(node);
    expect(findings.find(({ check }) => check === "token")).toMatchObject({
      verdict,
      found: expect.stringMatching(found),
    });
    expect(JSON.stringify(findings)).not.toContain(claims);
  });

  test.each<
    [
      what: string,
      prepare: (server: ApiServer) => void,
      verdict: string,
      found: string,
    ]
  >([
    [
      "lives",
      (server) => server.pods.put(daemonPod("uid-1")),
      "ok",
      "is bound to pod kube-system/genie-x7, which exists",
    ],
    [
      "is gone",
      () => {},
      "fail",
      "is bound to pod kube-system/genie-x7, which is gone: the API server refuses it",
    ],
    [
      "is another one of that name",
      (server) => server.pods.put(daemonPod("uid-2")),
      "fail",
      "is bound to pod kube-system/genie-x7, which is gone: the API server refuses it",
    ],
    [
      "is gone, so the token is refused",
      (server) => server.tokens.clear(),
      "fail",
      "is bound to pod kube-system/genie-x7, which is gone: the API server refuses it",
    ],
    [
      "cannot be asked for",
      (server) => server.inject({ ...statusFault(403), times: 9 }),
      "skip",
      "is bound to pod kube-system/genie-x7; its state is unknown: forbidden",
    ],
  ])("a token whose pod %s", async (_, prepare, verdict, found) => {
    await using server = await startApiServer();
    const claims = {
      exp: Math.floor(Date.now() / 1000) + 3600,
      "kubernetes.io": {
        namespace: "kube-system",
        pod: { name: "genie-x7", uid: "uid-1" },
        serviceaccount: { name: "genie", uid: "u" },
      },
    };
    const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
    server.tokens.set(token, "genie");
    using node = new NodeDirectory();
    const kubeconfig = (await Bun.file(server.kubeconfig()).text()).replace(
      /("?token"?: ?)"?[^",\n}]+"?/,
      `$1"${token}"`,
    );
    expect(kubeconfig).toContain(token);
    await node.type("install", [
      "--kubeconfig",
      node.write("kubeconfig", kubeconfig, 0o600),
    ]);
    prepare(server);
    const { findings } = await diagnosed(node);
    expect(
      findings
        .filter(({ check }) => check === "token")
        .map((one) => [one.verdict, one.found])
        .at(-1),
    ).toEqual([verdict, found]);
    expect(JSON.stringify(findings)).not.toContain(token.slice(4, 40));
  });

  test("a kubeconfig that others can read and that verifies nothing, is warned of", async () => {
    using node = new NodeDirectory();
    const token = node.write("token", "t");
    await node.type("install", [
      "--server=http://127.0.0.1:1",
      `--token-file=${token}`,
      "--insecure-skip-tls-verify",
    ]);
    chmodSync(join(node.confDir, "genie.d/kubeconfig"), 0o644);
    const { findings } = await diagnosed(node);
    expect(
      findings
        .filter(({ check }) => check === "kubeconfig")
        .map(({ verdict, found }) => [verdict, found]),
    ).toEqual([
      [
        "warn",
        "/etc/cni/net.d/genie.d/kubeconfig has mode 0644: others can read it",
      ],
      [
        "warn",
        "/etc/cni/net.d/genie.d/kubeconfig does not verify the API server: another server can impersonate it",
      ],
    ]);
  });
});
