/**
 * The credential at the moment of a request. Order: token file, token, user name
 * and password (as in client-go, where the file is newer), then the credential
 * plugin or provider; additionally a client certificate.
 */
import type { Deadline } from "../linux/deadline.ts";
import type { User } from "./kubeconfig.ts";
import { checkToken, invalid, readPem, readToken } from "./pem.ts";
import { omitUndefined } from "./options.ts";
import type { Env, Issued } from "./exec-credential.ts";

/** The credential's part of a request. */
export interface Credential {
  /** The value of the Authorization header. */
  authorization?: string;
  /** PEM; both or none. */
  certificate?: string;
  key?: string;
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
 * provider runs once. Throws 7 for an unreadable file, 11 for a plugin or provider
 * without a credential.
 */
export function credentialOf(
  identity: Identity,
): (deadline: Deadline) => Promise<Credential> {
  const { user, where } = identity;
  const certificate = certificateOf(user, where);
  let issued: Promise<Issued> | undefined;
  return async (deadline) => {
    const authorization = authorizationOf(user, where);
    if (authorization !== undefined) return { ...certificate, authorization };
    issued ??= issue(identity, deadline);
    const { token, ...issuedCertificate } = await issued;
    return {
      ...certificate,
      ...issuedCertificate,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
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
    throw invalid(`${where}: the client ${missing} is missing`);
  }
  return omitUndefined<Credential>({
    certificate: clientCertificate && readPem(clientCertificate, "CERTIFICATE"),
    key: clientKey && readPem(clientKey, "PRIVATE KEY"),
  });
}

async function issue(
  { user, env, cluster }: Identity,
  deadline: Deadline,
): Promise<Issued> {
  if (user.exec) {
    const { runPlugin } = await import("./exec-credential.ts");
    return runPlugin({ config: user.exec, env, cluster: cluster(), deadline });
  }
  if (!user.authProvider) return {};
  const { signIn } = await import("./auth-provider.ts");
  return signIn(user.authProvider, deadline);
}
