/**
 * The credential at the moment of a request. Order: token file, token, user name
 * and password (as in client-go, where the file is newer), then the credential
 * plugin or provider; additionally a client certificate.
 */
import type { RequestOptions } from "node:https";
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import { ownText } from "../../cni/json.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { errnoOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { ClientCertificate, IssuedCredential } from "./exec-credential.ts";
import type { Env } from "../../cni/environment.ts";
import type { AuthProvider, User } from "./kubeconfig.ts";
import { checkToken, readPem, readToken } from "./pem.ts";

/** The credential's part of a request. */
export interface Credential {
  /** The value of the Authorization header. */
  authorization?: string;
  client?: ClientCertificate;
}

export interface Identity {
  user: User;
  /** For messages. */
  where: string;
  env: Env;
  /** The cluster for a credential plugin that asks for it. */
  cluster(): Readonly<Record<string, unknown>>;
}

/**
 * The credential of each request: a token file is read every time, a plugin or
 * provider runs once, and again after a failure. Throws 7 for an unreadable file, 11 for
 * a plugin or provider without a credential.
 */
export function credentialOf(
  identity: Identity,
): (deadline: Deadline) => Credential | Promise<Credential> {
  const { user, where } = identity;
  const certificate = certificateOf(user, where);
  let issued: Promise<Credential> | undefined;
  const issueOnce = async (deadline: Deadline): Promise<Credential> => {
    try {
      return await issue(identity, certificate, deadline);
    } catch (error) {
      // The agent asks again: a plugin may fail once.
      issued = undefined;
      throw error;
    }
  };
  return (deadline) => {
    const authorization = authorizationOf(user, where);
    return authorization === undefined
      ? (issued ??= issueOnce(deadline))
      : { ...certificate, authorization };
  };
}

function authorizationOf(user: User, where: string): string | undefined {
  const { token, tokenFile, username, password = "" } = user;
  if (tokenFile !== undefined) return `Bearer ${readToken(tokenFile, where)}`;
  if (token !== undefined) return `Bearer ${checkToken(token, where)}`;
  if (username === undefined) return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function certificateOf(user: User, where: string): Credential {
  const { clientCertificate, clientKey } = user;
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    const missing = clientKey === undefined ? "key" : "certificate";
    throw invalidConfig(`${where}: the client ${missing} is missing`);
  }
  if (!clientCertificate || !clientKey) return {};
  const cert = readPem(clientCertificate, "CERTIFICATE");
  return { client: { cert, key: readPem(clientKey, "PRIVATE KEY") } };
}

/** A certificate that is issued takes the place of the kubeconfig's. */
async function issue(
  identity: Identity,
  certificate: Credential,
  deadline: Deadline,
): Promise<Credential> {
  const { token, ...issued } = await issuedCredential(identity, deadline);
  return {
    ...certificate,
    ...issued,
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
}

async function issuedCredential(
  { user, env, cluster }: Identity,
  deadline: Deadline,
): Promise<IssuedCredential> {
  if (user.exec) {
    const { runCredentialPlugin } = await import("./exec-credential.ts");
    return runCredentialPlugin({
      config: user.exec,
      env,
      cluster: cluster(),
      deadline,
    });
  }
  if (!user.authProvider) return {};
  return signIn(user.authProvider, deadline);
}

/**
 * The token of a kubeconfig's `auth-provider` (OIDC, Azure, GCP), by
 * @kubernetes/client-node: loading it costs about 20 ms, so only such a kubeconfig
 * imports it. Throws 11 if the provider returns no token in time.
 */
async function signIn(
  provider: AuthProvider,
  deadline: Deadline,
): Promise<IssuedCredential> {
  const name = `auth-provider ${quote(provider.name)}`;
  const failed = (what: string) =>
    new CniError(Code.tryAgainLater, `${name} ${what}`);
  const late = Bun.sleep(deadline.remaining).then(() => {
    throw failed("gave no token in time");
  });
  try {
    const token = await Promise.race([late, tokenOf(provider)]);
    if (token === undefined) throw failed("gave no token");
    return { token: checkToken(token, name) };
  } catch (error) {
    if (error instanceof CniError) throw error;
    // Its messages quote the configuration and responses.
    throw failed(
      `failed: ${errnoOf(error) ?? (error instanceof Error ? error.name : "error")}`,
    );
  }
}

/** The user only: with a cluster, client-node would make an agent for it. */
async function tokenOf(
  authProvider: AuthProvider,
): Promise<string | undefined> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  const server = "https://localhost";
  config.loadFromClusterAndUser(
    { name: "cluster", server, skipTLSVerify: false },
    { name: "user", authProvider },
  );
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const header = ownText(options.headers, "Authorization");
  return header?.replace(/^Bearer /, "");
}
