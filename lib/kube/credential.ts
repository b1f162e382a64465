/**
 * Who we are for the API server, at the moment of a call. Order: token file,
 * token, user name and password (as in client-go, where the file is the fresher
 * one), then the credential plugin or the provider; a client certificate besides.
 */
import type { Deadline } from "../linux/deadline.ts";
import type { User } from "./kubeconfig.ts";
import { checkToken, invalid, readPem, readToken } from "./pem.ts";
import { omitUndefined } from "./options.ts";
import type { Env, Issued } from "./exec-credential.ts";

/** What a request carries. */
export interface Credential {
  /** The value of the header of that name. */
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
  /** What a credential plugin may ask to be told of the cluster. */
  cluster(): Readonly<Record<string, unknown>>;
}

/**
 * The credential at each call: a token file is read every time, a plugin or a
 * provider is asked once. Throws 7 for what cannot be read, 11 for a plugin or
 * provider that gives none.
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
