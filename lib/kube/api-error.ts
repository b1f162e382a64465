/**
 * The error of a failed API request, and the wording of connection failures;
 * `refusal` words what a server responds. It never contains a credential.
 */
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";

/** Always code 11: kubelet tries the pod again (selection.md §1). */
export class ApiError extends CniError {
  /** The HTTP status of the last response; undefined without a readable response. */
  readonly status: number | undefined;
  /** The fields that a 422 rejects. */
  readonly fields: readonly string[];

  constructor(
    message: string,
    status?: number,
    fields: readonly string[] = [],
  ) {
    super(Code.tryAgainLater, message);
    this.name = "ApiError";
    this.status = status;
    this.fields = fields;
  }
}

/** One failed try. */
export interface Failure {
  what: string;
  status?: number;
  fields?: readonly string[];
  /** Whether a retry may succeed. */
  transient: boolean;
  /** The server's Retry-After in milliseconds. */
  retryAfter?: number;
}

/**
 * Temporary connection failures, by Bun's code. Others are not retried, above all
 * invalid certificates.
 */
const passing: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed",
  ECONNABORTED: "connection closed",
  EPIPE: "connection closed",
  ETIMEDOUT: "no response in time",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network unreachable",
  ENETDOWN: "network down",
  EADDRNOTAVAIL: "no free port",
  ERR_PROXY_TUNNEL: "the proxy refused the connection",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "name resolution failed for now",
};

const unusable =
  "no connection could be made: do certificate, key and certificate authority fit together?";

/** Permanent failures whose code needs an explanation. */
const lasting: Record<string, string> = {
  EPROTO: "the TLS handshake failed",
  FailedToOpenSocket: unusable,
  ERR_BORINGSSL: unusable,
  MalformedResponse: "the response is not valid HTTP",
  UnexpectedRedirect: "redirected elsewhere",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "certificate not trusted: issued for another name",
};

/**
 * The meaning of Bun's code for a request to `server`. Bun's messages are not used:
 * they quote URLs and headers.
 */
export function connectionFailure(
  server: string,
  code: string | undefined,
): Failure {
  const where = `server ${quote(server)}`;
  const transient = passing[code ?? ""];
  if (transient) return { what: `${where}: ${transient}`, transient: true };
  return { what: `${where}: ${lastingText(code)}`, transient: false };
}

function lastingText(code = "request failed"): string {
  const text = lasting[code];
  if (text) return text;
  // OpenSSL rejects a key or a certificate before anything is sent.
  if (code.startsWith("ERR_OSSL_")) return unusable;
  return verification.test(code) ? `certificate not trusted: ${code}` : code;
}

/** The names of OpenSSL's verification errors. */
const verification =
  /CERT|CRL|SIGNATURE|_CA$|CHAIN|PURPOSE|HOSTNAME|PATH_LENGTH/;
