/** The API server and this node's name in it, for the agent and commands that ask for the node's pods. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { inClusterServer } from "../../kube/server-url.ts";
import {
  type Api,
  openApi,
  serviceAccountDirectory,
} from "../../kube/typed-api.ts";
import type { GenieConfig } from "../../select/config.ts";
import type { Input, Options } from "../command/command.ts";
import { directoriesOf, hostOf, nodeContext } from "./node.ts";
import type { Env } from "../command/terminal.ts";

export const apiOptions = {
  kubeconfig: {
    value: "FILE",
    path: "file",
    about:
      "credential for the API server (default the service account of this pod, else that of genie's configuration)",
  },
  node: {
    value: "NAME",
    about:
      "name of this node in the API (default $NODE_NAME, else as configured, else the host's name)",
  },
} as const satisfies Options;

export function apiNodeName(
  input: Input,
  env: Env,
  { nodeName }: Pick<GenieConfig, "nodeName">,
): string {
  return input.text("node") || env["NODE_NAME"] || nodeName || hostNodeName();
}

/** As the kubelet names its node by default. */
export function hostNodeName(host = hostname()): string {
  return host.trim().toLowerCase();
}

/** By {@link apiOptions}; the credential of the configuration is read anew each time. */
export function openNodeApi(input: Input, env: Env): Promise<Api> {
  const kubeconfig = input.path("kubeconfig");
  if (kubeconfig !== undefined) return openApi({ kubeconfig }, env);
  if (
    inClusterServer(env) !== undefined &&
    existsSync(join(serviceAccountDirectory, "token"))
  )
    return openApi({}, env);
  const host = hostOf(input);
  const place = (path: string) => host.path(path);
  return openApi(
    () => nodeContext(directoriesOf(input), env, { host }).config.kube,
    env,
    host.isOurs ? {} : { place },
  );
}
