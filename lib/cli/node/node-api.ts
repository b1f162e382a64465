/** The API server, for commands that ask for the node's pods. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { inClusterServer } from "../../kube/access/server-url.ts";
import { type Api, apiProblem, openApi } from "../../kube/typed-api.ts";
import { serviceAccountDirectory } from "../../kube/access/access.ts";
import type { Input } from "../command/input.ts";
import { optionsOf } from "../command/options.ts";
import type { Env } from "../../cni/environment.ts";
import { directoriesOf } from "./directories.ts";
import { nodeContext } from "./node-context.ts";

export const apiOptions = optionsOf({
  "--kubeconfig FILE":
    "credential for the API server (default the service account of this pod, else that of genie's configuration)",
  "--node NAME":
    "name of this node in the API (default $NODE_NAME, else as configured, else the host's name)",
});

/** The result of a request. Throws Error: `failed to <action>: <problem>`. */
export async function requested<T>(
  action: string,
  request: Promise<T>,
): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    throw new Error(`failed to ${action}: ${apiProblem(cause)}`, { cause });
  }
}

/** Opens it as {@link apiOptions} say. The configuration's credential is read again after a failure. */
export function openNodeApi(input: Input, env: Env): Promise<Api> {
  const kubeconfig = input.path("kubeconfig");
  if (kubeconfig !== undefined) return openApi({ kubeconfig }, env);
  const token = join(serviceAccountDirectory, "token");
  if (inClusterServer(env) !== undefined && existsSync(token))
    return openApi({}, env);
  const directories = directoriesOf(input);
  const { host } = directories;
  const place = (path: string) => host.path(path);
  return openApi(
    () => nodeContext(directories, env, { needsKeys: true }).config.kube,
    env,
    host.isOwnRoot ? {} : { place },
  );
}
