/**
 * What a failed call of the API server throws. It owns the wording of failures of
 * the connection; what a server says against a request is `refusal`. It never
 * sees a credential.
 */
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";

/** Always code 11: kubelet tries the pod again (selection.md §1). */
export class ApiError extends CniError {
  /** The HTTP status of the last answer; undefined when there was none, or none that could be read. */
  readonly status: number | undefined;
  /** The fields that a status of 422 is about. */
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
  /** Whether the same call may succeed in a moment. */
  transient: boolean;
  /** Milliseconds that the server asked us to wait. */
  retryAfter?: number;
}

/**
 * The failures of a connection that pass, by Bun's code. What is not listed is
 * not tried again: certificates above all, which no retry makes valid.
 */
const passing: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed",
  ECONNABORTED: "connection closed",
  EPIPE: "connection closed",
  ETIMEDOUT: "no answer in time",
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

/** The failures that stay, where the code alone says too little. */
const lasting: Record<string, string> = {
  EPROTO: "the TLS handshake failed",
  FailedToOpenSocket: unusable,
  ERR_BORINGSSL: unusable,
  MalformedResponse: "the answer is no valid HTTP",
  UnexpectedRedirect: "redirected elsewhere",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "certificate not trusted: issued for another name",
};

/** What a code of Bun says of a request to `server`. The messages of Bun are not used: they quote URLs and headers. */
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
  // What OpenSSL has against a key or a certificate, before anything is sent.
  if (code.startsWith("ERR_OSSL_")) return unusable;
  return verification.test(code) ? `certificate not trusted: ${code}` : code;
}

/** The names of OpenSSL's verification errors. */
const verification =
  /CERT|CRL|SIGNATURE|_CA$|CHAIN|PURPOSE|HOSTNAME|PATH_LENGTH/;
