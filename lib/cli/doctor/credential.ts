/**
 * The credential for the API server on disk: kubeconfig, verification, expiry of
 * token and certificate. It never prints a secret.
 */
import { X509Certificate } from "node:crypto";
import { statSync } from "node:fs";
import { messageOf } from "../../linux/errno.ts";
import {
  type Cluster,
  type User,
  readKubeconfig,
} from "../../kube/kubeconfig.ts";
import { type Material, readPem } from "../../kube/pem.ts";
import type { Check, Finding, Node } from "./check.ts";
import { expiryOf, tokenOf } from "./token.ts";

const check = "kubeconfig";

export const checkCredential: Check = ({ config, host, terminal }) => {
  if (!config) return [];
  const { kubeconfig, server, policy } = config.kube;
  if (kubeconfig === undefined)
    return (server ?? policy?.server) === undefined
      ? [
          {
            check,
            verdict: "warn",
            found: "no credential for the API server",
            advice:
              "genie install --kubeconfig: definitions and the pods' status need it",
          },
        ]
      : [{ check, verdict: "ok", found: "the configuration names a server" }];
  const path = host.path(kubeconfig);
  let read: { cluster: Cluster; user: User };
  try {
    read = readKubeconfig(path);
  } catch (error) {
    return [
      {
        check,
        verdict: "fail",
        found: messageOf(error),
        advice: "genie install --kubeconfig",
      },
    ];
  }
  return [
    ...fileFindings(path, kubeconfig),
    ...clusterFindings(read.cluster, kubeconfig),
    ...userFindings(read.user, host, terminal.now()),
  ];
};

function fileFindings(path: string, shown: string): Finding[] {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0)
    return [{ check, verdict: "ok", found: `${shown} can be read` }];
  return [
    {
      check,
      verdict: "warn",
      found: `${shown} has mode ${mode.toString(8).padStart(4, "0")}: others can read it`,
      advice: `chmod 600 ${shown}`,
    },
  ];
}

function clusterFindings({ insecure }: Cluster, shown: string): Finding[] {
  if (!insecure) return [];
  return [
    {
      check,
      verdict: "warn",
      found: `${shown} does not verify the API server: another server can impersonate it`,
      advice: "set certificate-authority instead",
    },
  ];
}

function userFindings(user: User, host: Node["host"], now: Date): Finding[] {
  try {
    const { tokenFile, clientCertificate } = user;
    const text = tokenOf(user, host);
    if (text !== undefined)
      return [lifetime("token", expiryOf(text), now, tokenFile !== undefined)];
    if (!clientCertificate) return [];
    const pem = readPem(onHost(clientCertificate, host), "CERTIFICATE");
    const until = new X509Certificate(pem).validToDate;
    return [lifetime("client certificate", until, now, true)];
  } catch (error) {
    return [
      {
        check: "credential",
        verdict: "fail",
        found: messageOf(error),
        advice: "check that the DaemonSet or kubelet that renews it is running",
      },
    ];
  }
}

function onHost(material: Material, host: Node["host"]): Material {
  return "file" in material
    ? { ...material, file: host.path(material.file) }
    : material;
}

/** A kubelet renews a token when a fifth of its hour is left: less means that nobody renews it. */
const soonMs = 5 * 60_000;

function lifetime(
  what: string,
  until: Date | undefined,
  now: Date,
  renewed: boolean,
): Finding {
  if (until === undefined)
    return {
      check: what,
      verdict: "ok",
      found: renewed
        ? "has no expiry"
        : "is in the kubeconfig and has no expiry",
    };
  const left = until.getTime() - now.getTime();
  if (left <= 0)
    return {
      check: what,
      verdict: "fail",
      found: `expired at ${until.toISOString()}`,
      advice: "check that the DaemonSet or kubelet that renews it is running",
    };
  const found = `valid until ${until.toISOString()}`;
  if (left > soonMs) return { check: what, verdict: "ok", found };
  return {
    check: what,
    verdict: "warn",
    found: `${found}, in less than five minutes`,
    advice: "check that the DaemonSet or kubelet that renews it is running",
  };
}
