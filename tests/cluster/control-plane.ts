/**
 * etcd, the API server with an audit log, the controller manager and the
 * scheduler, with a certificate for each of them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Daemon, type DaemonOptions } from "./daemon.ts";
import { Kubectl } from "./kubectl.ts";
import type { Parts } from "./parts.ts";
import { Pki } from "./pki.ts";
import type { KeyFiles } from "../support/certs.ts";
import { nodeAddress, server } from "./place.ts";
import { run } from "../../scripts/run.ts";
import { kubeconfigJson } from "../support/kubeconfig.ts";

/** The address of the service "kubernetes". It is an address of the node: no kube-proxy is needed. */
const serviceAddress = "10.96.0.1";

/** Where etcd and the API server listen. */
export interface Ports {
  etcd: number;
  api: number;
}

const ports: Ports = { etcd: 2379, api: 443 };

export interface ControlPlane {
  pki: Pki;
  kubectl: Kubectl;
  api: Daemon;
  /** The audit log: one JSON object a line. */
  auditLog: string;
  /** Writes a kubeconfig of a client certificate, for the first node's server by default; its path. */
  kubeconfig(path: string, pair: KeyFiles, server?: string): string;
}

/** Starts all of it. */
export async function startControlPlane(
  parts: Parts,
  directory: string,
): Promise<ControlPlane> {
  await run(["ip", "address", "add", `${serviceAddress}/32`, "dev", "lo"]);
  const pki = new Pki(join(directory, "pki"));
  const kubeconfig: ControlPlane["kubeconfig"] = (path, pair, at = server) =>
    writeKubeconfig(path, pki, pair, at);
  const client = (user: string, groups: readonly string[] = []) =>
    kubeconfig(
      join(directory, `${user.replaceAll(":", "-")}.conf`),
      pki.client(user, groups),
    );

  const kubectl = new Kubectl(
    parts("kubectl"),
    client("admin", ["system:masters"]),
  );
  // In memory: nothing has to survive.
  await new Daemon(directory, etcd(parts, "/run/etcd", ports.etcd)).start();
  const auditLog = join(directory, "audit.log");
  const api = new Daemon(directory, {
    name: "kube-apiserver",
    cmd: apiServer(parts, pki, directory, auditLog, ports),
    ready: async () => (await kubectl.run("get", "--raw", "/readyz")) === "ok",
    seconds: 90,
  });
  await api.start();
  for (const [name, user, port, args] of [
    [
      "kube-controller-manager",
      "system:kube-controller-manager",
      10257,
      [
        `--root-ca-file=${pki.ca.certFile}`,
        `--service-account-private-key-file=${pki.signing.keyFile}`,
        "--allocate-node-cidrs=false",
        // Its own certificate may do little; each controller has an account.
        "--use-service-account-credentials=true",
      ],
    ],
    ["kube-scheduler", "system:kube-scheduler", 10259, []],
  ] as const) {
    const conf = client(user);
    await new Daemon(directory, {
      name,
      cmd: [
        parts(name),
        `--kubeconfig=${conf}`,
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        `--authentication-kubeconfig=${conf}`,
        `--authorization-kubeconfig=${conf}`,
        ...args,
      ],
      // Its certificate is one that it has just made for itself.
      ready: async () =>
        (
          await fetch(`https://127.0.0.1:${port}/healthz`, {
            tls: { rejectUnauthorized: false },
          })
        ).ok,
      seconds: 30,
    }).start();
  }
  return { pki, kubectl, api, auditLog, kubeconfig };
}

export function etcd(
  parts: Parts,
  dataDir: string,
  port: number,
): DaemonOptions {
  const url = `http://127.0.0.1:${port}`;
  return {
    name: "etcd",
    cmd: [
      parts("etcd"),
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      // It has no peers: any free port.
      "--listen-peer-urls=http://127.0.0.1:0",
      "--unsafe-no-fsync",
    ],
    ready: async () => (await fetch(`${url}/health`)).ok,
    seconds: 30,
  };
}

/** The command line. */
export function apiServer(
  parts: Parts,
  pki: Pki,
  directory: string,
  auditLog: string,
  { etcd: etcdPort, api }: Ports,
): string[] {
  const serving = pki.server(
    "127.0.0.1",
    nodeAddress,
    serviceAddress,
    "localhost",
    "kubernetes.default.svc",
  );
  const { signing } = pki;
  const kubelet = pki.client("kube-apiserver-kubelet-client", [
    "system:masters",
  ]);
  const policy = join(directory, "audit-policy.json");
  writeFileSync(
    policy,
    JSON.stringify({
      apiVersion: "audit.k8s.io/v1",
      kind: "Policy",
      omitStages: ["RequestReceived"],
      rules: [{ level: "Metadata" }],
    }),
  );
  return [
    parts("kube-apiserver"),
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--advertise-address=${nodeAddress}`,
    "--bind-address=0.0.0.0",
    `--secure-port=${api}`,
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.96.0.0/16",
    `--tls-cert-file=${serving.certFile}`,
    `--tls-private-key-file=${serving.keyFile}`,
    `--client-ca-file=${pki.ca.certFile}`,
    `--kubelet-client-certificate=${kubelet.certFile}`,
    `--kubelet-client-key=${kubelet.keyFile}`,
    // No name server knows the node.
    "--kubelet-preferred-address-types=InternalIP",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${signing.certFile}`,
    `--service-account-signing-key-file=${signing.keyFile}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    `--audit-policy-file=${policy}`,
    `--audit-log-path=${auditLog}`,
    "--audit-log-mode=blocking-strict",
    "--allow-privileged=true",
  ];
}

function writeKubeconfig(
  path: string,
  { ca }: Pki,
  pair: KeyFiles,
  at: string,
): string {
  mkdirSync(join(path, ".."), { recursive: true });
  const text = kubeconfigJson(
    { server: at, "certificate-authority": ca.certFile },
    { "client-certificate": pair.certFile, "client-key": pair.keyFile },
  );
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
