/**
 * The log of a call: at `info` one line with its outcome, at `debug` each execution
 * and request (configuration.md "log_level"), and the error of a call that failed.
 * Loaded only for these.
 */
import { CniError } from "../cni/error.ts";
import type { Execution } from "../cni/invoke.ts";
import { own, ownText, parseJson } from "../cni/json.ts";
import { addressesOf } from "../cni/result-query.ts";
import { parseResult } from "../cni/result.ts";
import type { Request } from "../cni/plugin-request.ts";
import { isSupported, latestVersion } from "../cni/version.ts";
import type { Attachment } from "../select/attachment.ts";
import { type Choice, ruleOf } from "../select/choice.ts";
import { createLog, fieldsOfCall, logStderr } from "../state/log-writer.ts";
import { type Context, logContext } from "./context.ts";
import type { Dependencies } from "./dependencies.ts";

/** Runs a verb and logs its outcome. */
export async function logOutcome<T>(
  context: Context,
  verb: (context: Context) => Promise<T>,
): Promise<T> {
  const log = new OutcomeLog(context);
  const { dependencies } = context;
  const began = dependencies.clock();
  const end = (code: number) => log.ended(code, dependencies.clock() - began);
  try {
    const outcome = await verb(log.observed());
    end(0);
    return outcome;
  } catch (error) {
    end(CniError.from(error).code);
    throw error;
  }
}

/** Logs the error of a failed call; returns the error for the runtime. */
export function reportFailure(
  request: Request,
  dependencies: Dependencies,
  error: CniError,
): CniError {
  // Runtimes ask for STATUS every few seconds and show its errors themselves.
  if (request.command === "STATUS") return error;
  const { stderr, now, env } = dependencies;
  // Read without validation: the configuration may be the fault.
  const level = configText(request, "log_level") ?? "warn";
  const path = configText(request, "logFile");
  const file = path?.startsWith("/") ? path : undefined;
  const { code, message, details } = error;
  const log = (to: string | undefined) =>
    createLog(level, to, stderr, now, logContext(request, env)).error(
      `${request.command} failed`,
      { code, error: message, details },
    );
  log(file);
  if (request.command !== "DEL") return error;
  const reworded = retryable(error);
  // The original words go to stderr as well (state.md "DEL").
  if (reworded !== error && file !== undefined) log(undefined);
  return reworded;
}

function configText({ config }: Request, key: string): string | undefined {
  return ownText(config, key) || undefined;
}

/** Texts that containerd takes for success (P-DEL-4), and their replacements. */
const successWords = [
  [/not found/gi, "missing"],
  [/no such file or directory/gi, "ENOENT"],
] as const;

/** The error of a DEL in words that make every runtime retry; the same object if nothing is replaced. */
function retryable(error: CniError): CniError {
  const replace = (words: string) =>
    successWords.reduce(
      (text, [phrase, instead]) => text.replace(phrase, instead),
      words,
    );
  const message = replace(error.message);
  const details = error.details && replace(error.details);
  if (message === error.message && details === error.details) return error;
  return new CniError(error.code, message, { details, cause: error });
}

/** Networks in the line of a call: a GC may delete thousands. */
const mostNetworks = 64;

class OutcomeLog {
  readonly #context: Context;
  /** The reports by container, network and interface, in the order of their first execution. */
  readonly #networks = new Map<string, NetworkReport>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** The context with an observer of executions, choice and requests. */
  observed(): Context {
    const { dependencies } = this.#context;
    return {
      ...this.#context,
      executed: (execution) => this.#executed(execution),
      chosen: (choice, attachments) => this.#chosen(choice, attachments),
      dependencies: {
        ...dependencies,
        kube: (config, deadline, tried) =>
          dependencies.kube(config, deadline, (one) => {
            this.#context.log().debug("asked the API server", {
              ...one,
              ms: rounded(one.ms),
            });
            tried?.(one);
          }),
      },
    };
  }

  ended(code: number, ms: number): void {
    const { log, request } = this.#context;
    const { command } = request;
    const all = [...this.#networks.values()];
    const fields = {
      networks: all.slice(0, mostNetworks),
      omitted:
        all.length > mostNetworks ? all.length - mostNetworks : undefined,
      ms: rounded(ms),
      code,
    };
    // A runtime calls DEL twice for every pod: the second one finds nothing to do.
    const idle = command === "DEL" && code === 0 && all.length === 0;
    log()[idle || command === "STATUS" ? "debug" : "info"](command, fields);
  }

  #chosen({ elements }: Choice, attachments: readonly Attachment[]): void {
    const { log } = this.#context;
    for (const [i, element] of elements.entries())
      log().debug("chose network", {
        network: attachments[i]?.list.name,
        requested: attachments[i]?.requested,
        definition: attachments[i]?.definition,
        ifname: element.ifname,
        rule: ruleOf(element),
      });
  }

  #executed(execution: Execution): void {
    const { log, config, request } = this.#context;
    const { call, error } = execution;
    const { verb, type } = call;
    const code = error?.code ?? 0;
    const ms = rounded(execution.ms);
    log().debug("executed plugin", {
      ...fieldsOfCall(call),
      ms,
      code,
      error: error?.message,
    });
    if (config.logFile !== undefined) logStderr(log(), execution);
    const report = this.#report(call);
    report.plugins.push({
      plugin: type,
      ...(verb !== request.command && { verb }),
      ms,
      ...(code !== 0 && { code }),
    });
    report.ips = addresses(execution) ?? report.ips;
    // After a rollback the pod has none of them.
    if (request.command === "ADD" && verb === "DEL") report.ips = undefined;
  }

  #report({ network = "", runtime }: Execution["call"]): NetworkReport {
    const { containerId, ifname } = runtime;
    const key = `${containerId}\0${network}\0${ifname}`;
    const isForeign = containerId !== this.#context.request.containerId;
    const report = this.#networks.get(key) ?? {
      network,
      ...(ifname !== "" && { ifname }),
      ...(isForeign && { containerId }),
      ips: undefined,
      plugins: [],
    };
    this.#networks.set(key, report);
    return report;
  }
}

/** One network of one interface, in the line of a call. */
interface NetworkReport {
  network: string;
  /** Absent for GC and STATUS of a network. */
  ifname?: string;
  /** Present if the call has another container: GC. */
  containerId?: string;
  ips: string[] | undefined;
  plugins: {
    plugin: string;
    /** Present if it differs from the call's: the DEL of a rollback. */
    verb?: string;
    ms: number;
    /** The error of a failed execution. */
    code?: number;
  }[];
}

/** Tenths of a millisecond. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** The addresses in the result of an ADD, or in the prevResult of another verb; undefined without one. */
function addresses({ call, output, error }: Execution): string[] | undefined {
  if (call.verb === "ADD" && error) return undefined;
  try {
    const config = parseJson(call.config);
    const result = call.verb === "ADD" ? output : own(config, "prevResult");
    if (result === undefined) return undefined;
    const version = own(config, "cniVersion");
    const known = typeof version === "string" && isSupported(version);
    const read = parseResult(result, known ? version : latestVersion);
    return addressesOf(read);
  } catch {
    // An unreadable result fails the ADD, with the reason.
    return undefined;
  }
}
