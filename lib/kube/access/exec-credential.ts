/**
 * Credential plugins, client-go's `exec`: a program that prints an ExecCredential.
 * Our own code, because that of @kubernetes/client-node has no deadline, leaves the
 * plugin's stdin open, does not set KUBERNETES_EXEC_INFO, and quotes output (the
 * token) in its errors.
 */
import * as v from "valibot";
import type { Deadline } from "../../linux/deadline.ts";
import { CniError, Code, invalidConfig } from "../../cni/error.ts";
import { errnoOf } from "../../linux/errno.ts";
import { nonBlank, quote } from "../../linux/text.ts";
import { type ExecResult, execDelegate } from "../../linux/exec.ts";
import { jsonIfAny, omitUndefined } from "../../cni/json.ts";
import { object, parse } from "../../cni/schema.ts";
import type { ExecConfig } from "./kubeconfig.ts";
import { checkToken } from "./pem.ts";
import type { Env } from "../../cni/environment.ts";

/** The credential of a plugin or provider. */
export interface IssuedCredential {
  token?: string;
  client?: ClientCertificate;
}

/** PEM. */
export interface ClientCertificate {
  cert: string;
  key: string;
}

interface PluginRequest {
  config: ExecConfig;
  env: Env;
  /** `spec.cluster` of KUBERNETES_EXEC_INFO, for plugins that ask for it. */
  cluster: Readonly<Record<string, unknown>>;
  deadline: Deadline;
}

/** Throws 7 if the plugin cannot be executed, 11 if it returns no credential in time. */
export async function runCredentialPlugin(
  request: PluginRequest,
): Promise<IssuedCredential> {
  // Only the program is named: users write arguments into `command`.
  const [command = ""] = request.config.command.split(" ");
  const plugin = `credential plugin ${quote(command)}`;
  const result = await execute(plugin, request);
  const failure = failureOf(result);
  if (failure !== undefined)
    throw new CniError(Code.tryAgainLater, `${plugin} ${failure}`);
  return issued(result.stdout, request.config, plugin);
}

async function execute(
  plugin: string,
  { config, env, cluster, deadline }: PluginRequest,
): Promise<ExecResult> {
  const environment = {
    ...omitUndefined<Record<string, string>>(env),
    ...config.env,
  };
  const path = Bun.which(config.command, { PATH: environment["PATH"] ?? "" });
  if (path === null) throw invalidConfig(`failed to find ${plugin}`);
  const info = {
    apiVersion: config.apiVersion,
    kind: "ExecCredential",
    spec: { interactive: false, ...(config.provideClusterInfo && { cluster }) },
  };
  try {
    return await execDelegate({
      path,
      args: config.args,
      env: { ...environment, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
      stdin: "",
      deadline,
      inherit: [],
    });
  } catch (error) {
    const reason = errnoOf(error) ?? "failed";
    throw invalidConfig(`failed to run ${plugin}: ${reason}`);
  }
}

/** Quotes neither stdout nor stderr: plugins print tokens, requests and responses there. */
function failureOf({
  exitCode,
  stderr,
  killed,
}: ExecResult): string | undefined {
  if (killed === "deadline") return "gave no credential in time";
  if (killed) return "printed too much";
  if (exitCode === 0) return undefined;
  const end = exitCode === null ? "was killed" : `exited with code ${exitCode}`;
  return stderr.trim() === ""
    ? end
    : `${end}: its stderr is not shown, it may hold a secret`;
}

const text = v.nullish(v.string());

/** An ExecCredential. */
const execCredential = object({
  apiVersion: v.string(),
  kind: v.nullish(v.literal("ExecCredential")),
  status: object({
    token: text,
    clientCertificateData: text,
    clientKeyData: text,
  }),
});

function issued(stdout: string, { apiVersion }: ExecConfig, plugin: string) {
  const refuse = (problem: string) =>
    new CniError(Code.tryAgainLater, `${plugin} printed ${problem}`);
  const printed = parse(
    execCredential,
    jsonIfAny(stdout),
    (problem) => refuse(`no credential: ${problem}`),
    { secret: true },
  );
  const { status, apiVersion: printedVersion } = printed;
  // As client-go.
  if (printedVersion !== apiVersion)
    throw refuse(
      `a credential of apiVersion ${quote(printedVersion)}: the kubeconfig has ${quote(apiVersion)}`,
    );
  const token = nonBlank(status.token);
  const cert = nonBlank(status.clientCertificateData);
  const key = nonBlank(status.clientKeyData);
  if ((cert === undefined) !== (key === undefined))
    throw refuse("a certificate without its key, or a key alone");
  if (token === undefined && cert === undefined)
    throw refuse("no credential: neither a token nor a certificate");
  if (token !== undefined) checkToken(token, plugin);
  return omitUndefined<IssuedCredential>({
    token,
    client: cert !== undefined && key !== undefined ? { cert, key } : undefined,
  });
}
