/**
 * Credentials of a kubeconfig's `auth-provider` (OIDC, Azure, GCP), by
 * @kubernetes/client-node. Loading it costs about 20 ms, so only such a kubeconfig
 * imports it.
 */
import type { RequestOptions } from "node:https";
import type { Deadline } from "../linux/deadline.ts";
import { Code, CniError } from "../cni/error.ts";
import { errnoOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import { own } from "../cni/json.ts";
import type { AuthProvider } from "./kubeconfig.ts";
import { checkToken } from "./pem.ts";
import type { Issued } from "./exec-credential.ts";

/** Throws 11 if the provider returns no token in time. */
export async function signIn(
  provider: AuthProvider,
  deadline: Deadline,
): Promise<Issued> {
  const name = `auth-provider ${quote(provider.name)}`;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const failed = (what: string) =>
    new CniError(Code.tryAgainLater, `${name} ${what}`);
  const timer = setTimeout(
    () => reject(failed("gave no token in time")),
    deadline.remaining,
  );
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
  } finally {
    clearTimeout(timer);
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
  const header = own(options.headers, "Authorization");
  return typeof header === "string"
    ? header.replace(/^Bearer /, "")
    : undefined;
}
