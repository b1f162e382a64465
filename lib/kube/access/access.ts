/**
 * The access to the API server: server, authority and credential, from the network
 * configuration, the kubeconfig or the environment of our pod (configuration.md,
 * `kubernetes` and `policy`). It decides their precedence.
 */
import type { Deadline } from "../../linux/deadline.ts";
import { type CniError, invalidConfig } from "../../cni/error.ts";
import type { Tls } from "../../http/http-request.ts";
import { omitUndefined } from "../../cni/json.ts";
import { quote } from "../../linux/text.ts";
import { type Credential, type Identity, credentialOf } from "./credential.ts";
import { type Cluster, type User, readKubeconfig } from "./kubeconfig.ts";
import {
  type PemSource,
  hasOnlyRoots,
  readPem,
  systemAuthorities,
} from "./pem.ts";
import type { Env } from "../../cni/environment.ts";
import {
  type ServerUrl,
  inClusterServer,
  readProxyUrl,
  readServerUrl,
  withoutSecrets,
} from "./server-url.ts";

/** The API server and the credential; an absent key is left to the kubeconfig. */
export interface KubeOptions {
  /** Path. */
  kubeconfig?: string;
  /** Paths of further files, as in $KUBECONFIG. */
  moreKubeconfigs?: readonly string[];
  /** URL; has precedence over `policy.server` and the kubeconfig's. */
  server?: string;
  /** Each key has precedence over the kubeconfig's. */
  policy?: Policy;
}

/** `token` is the token itself, the other keys are paths, as in CNI-Genie. */
export interface Policy {
  server?: string;
  token?: string;
  clientCertificate?: string;
  clientKey?: string;
  certificateAuthority?: string;
}

export interface Access {
  /** The URL before `/api` and `/apis`. */
  server: string;
  /** A proxy's URL; never from the environment. */
  proxy: string | false;
  /** Undefined for plain HTTP. */
  tls: Tls | undefined;
  /** The current credential. Throws 7 and 11. */
  credential(deadline: Deadline): Credential | Promise<Credential>;
}

/** The dependencies. */
export interface Surroundings {
  env: Env;
  /** Mount path of the pod's service account. */
  serviceAccount: string;
  /** Where this process sees a file of the node, for a container; default: where it is. */
  place?: (path: string) => string;
}

/** Where the kubelet mounts a pod's service account. */
export const serviceAccountDirectory =
  "/var/run/secrets/kubernetes.io/serviceaccount";

/** Throws 7 naming the missing or wrong key. */
export async function openAccess(
  options: KubeOptions,
  { env, serviceAccount, place }: Surroundings,
): Promise<Access> {
  const found = locate(options, env, serviceAccount, place);
  const cluster = { ...found.cluster, ...clusterOf(options) };
  const { root: server, login } = serverOf(options, cluster, found.where);
  const tls = server.startsWith("https:") ? await tlsOf(cluster) : undefined;
  const identity: Identity = {
    user: userOf(withLogin(found.user, login), options.policy ?? {}),
    where: found.where,
    env,
    cluster: () => clusterInfo(server, cluster, tls),
  };
  return {
    server,
    proxy: proxyOf(cluster, found.where),
    tls,
    credential: credentialOf(identity),
  };
}

interface Found {
  cluster: Cluster;
  user: User;
  /** For messages. */
  where: string;
}

function locate(
  { kubeconfig, moreKubeconfigs, server, policy }: KubeOptions,
  env: Env,
  directory: string,
  place: Surroundings["place"],
): Found {
  if (kubeconfig !== undefined) {
    const { cluster, user } = readKubeconfig(
      kubeconfig,
      place,
      moreKubeconfigs,
    );
    return { cluster, user, where: `kubeconfig ${quote(kubeconfig)}` };
  }
  if ((server ?? policy?.server) !== undefined) {
    return { cluster: { insecure: false }, user: {}, where: "configuration" };
  }
  const inCluster = inClusterServer(env);
  if (inCluster === undefined) {
    throw invalidConfig(
      "no API server: neither a kubeconfig nor a server is configured",
    );
  }
  const where = "service account";
  return {
    cluster: {
      server: inCluster,
      certificateAuthority: { where, file: `${directory}/ca.crt` },
      insecure: false,
    },
    user: { tokenFile: `${directory}/token` },
    where,
  };
}

/** A named authority overrides insecure-skip-tls-verify, as in client-go. */
function clusterOf({ server, policy }: KubeOptions): Partial<Cluster> {
  const certificateAuthority = fileOf(
    policy?.certificateAuthority,
    "k8s_certificate_authority",
  );
  return {
    ...omitUndefined<Partial<Cluster>>({
      server: server ?? policy?.server,
      certificateAuthority,
    }),
    ...(certificateAuthority && { insecure: false }),
  };
}

/** A configured token overrides every other credential but client certificates. */
function userOf(
  user: User,
  { token, clientCertificate, clientKey }: Policy,
): User {
  const certificate = fileOf(clientCertificate, "k8s_client_certificate");
  const key = fileOf(clientKey, "k8s_client_key");
  return omitUndefined<User>({
    ...(token === undefined ? user : { token }),
    clientCertificate: certificate ?? user.clientCertificate,
    clientKey: key ?? user.clientKey,
  });
}

/**
 * User and password of the URL replace every other credential but certificates:
 * Go's net/http sends them, and client-go then adds no other Authorization header.
 */
function withLogin(user: User, login: ServerUrl["login"]): User {
  if (login === undefined) return user;
  const { clientCertificate, clientKey } = user;
  return omitUndefined<User>({ ...login, clientCertificate, clientKey });
}

function fileOf(file: string | undefined, key: string): PemSource | undefined {
  return file === undefined ? undefined : { where: `policy.${key}`, file };
}

function serverOf(
  options: KubeOptions,
  { server }: Cluster,
  where: string,
): ServerUrl {
  if (server === undefined)
    throw invalidConfig(`${where}: the cluster has no server`);
  const key =
    options.server !== undefined
      ? "kubernetes.k8s_api_root"
      : options.policy?.server !== undefined
        ? "policy.k8s_api_root"
        : undefined;
  const url = readServerUrl(server, { isRoot: key !== undefined });
  if (!("problem" in url)) return url;
  throw refusedUrl(key ?? `${where}: server`, server, url.problem);
}

function refusedUrl(key: string, url: string, problem: string): CniError {
  return invalidConfig(`${key} ${quote(withoutSecrets(url))}: ${problem}`);
}

async function tlsOf(cluster: Cluster): Promise<Tls> {
  const { certificateAuthority, insecure, tlsServerName } = cluster;
  // As client-go: one of the two is a mistake, and which one decides whom we trust.
  if (insecure && certificateAuthority)
    throw invalidConfig(
      `${certificateAuthority.where}: not allowed with insecure-skip-tls-verify`,
    );
  const named =
    certificateAuthority && readPem(certificateAuthority, "CERTIFICATE");
  return omitUndefined<Tls>({
    ca: insecure ? undefined : (named ?? (await systemAuthorities())),
    serverName: tlsServerName,
    // It costs a pod a tenth of an ADD.
    allowPartialTrustChain: named && hasOnlyRoots(named) ? undefined : true,
    rejectUnauthorized: !insecure,
  });
}

function proxyOf({ proxyUrl }: Cluster, where: string): string | false {
  if (proxyUrl === undefined) return false;
  const proxy = readProxyUrl(proxyUrl);
  if ("url" in proxy) return proxy.url;
  throw refusedUrl(`${where}: proxy-url`, proxyUrl, proxy.problem);
}

/** The cluster as credential plugins get it, `client.authentication.k8s.io` Cluster. */
function clusterInfo(
  server: string,
  { tlsServerName, insecure, proxyUrl, execConfig }: Cluster,
  tls?: Tls,
) {
  const authority =
    typeof tls?.ca === "string" ? Buffer.from(tls.ca) : undefined;
  return omitUndefined<Record<string, unknown>>({
    server,
    "tls-server-name": tlsServerName,
    "insecure-skip-tls-verify": insecure || undefined,
    "certificate-authority-data": authority?.toString("base64"),
    "proxy-url": proxyUrl,
    config: execConfig ?? null,
  });
}
