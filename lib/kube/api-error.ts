/**
 * The error of a failed API request: what a failed connection and a refusal of the
 * server mean, in one line. No message contains a credential: a response may echo the
 * request, so our credential is removed from every quotation.
 */
import { Code, CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import { jsonIfAny, own, ownText } from "../cni/json.ts";
import type { Credential } from "./access/credential.ts";
import type { HttpResponse } from "../http/http-response.ts";

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

/** The message for a connection that broke off within a response; undefined for another code. */
export function passingText(code: string | undefined): string | undefined {
  return passing[code ?? ""];
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

/** The requested object, for the meaning of a 404. */
export interface Subject {
  name: string;
  /** The message if the server does not know the kind. */
  unknownKind: string;
}

/** The refusal of a response that is neither 2xx nor 3xx. */
export function refusal(
  { status, text = "", retryAfter: header }: HttpResponse,
  { name, unknownKind }: Subject,
  credential: Credential,
  now: Date,
): Failure {
  const body = jsonIfAny(text);
  // The message of a Status object is the only text that is quoted.
  const message = ownText(body, "message") ?? "";
  const retryAfter = retryAfterOf(header, now);
  const isUnknownKind = status === 404 && !isAbout(name, body, message);
  const reason = isUnknownKind
    ? unknownKind
    : message && quote(redact(message, credential));
  return {
    what: statusText(status) + (reason === "" ? "" : `: ${reason}`),
    status,
    fields: fieldsOf(body, message),
    transient: isTransient(status),
    ...(retryAfter !== undefined && { retryAfter }),
  };
}

/** The usual statuses of an API server; messages show others as numbers. */
const statusTexts: Record<number, string> = {
  400: "bad request",
  401: "unauthorized",
  403: "forbidden",
  404: "not found",
  409: "conflict",
  422: "invalid",
  429: "too many requests",
  500: "internal server error",
  502: "bad gateway",
  503: "service unavailable",
  504: "gateway timeout",
};

/** The meaning of an HTTP status, or `status 418`. */
export function statusText(status: number): string {
  return statusTexts[status] ?? `status ${status}`;
}

/** 429 and 5xx are temporary (selection.md §1). 401 is the caller's: a new credential may help. */
function isTransient(status: number): boolean {
  return status === 429 || status >= 500;
}

/**
 * Whether a 404 is about the object. A resource that is not installed gets `404
 * page not found`, or a Status without `details.name`.
 */
function isAbout(name: string, body: unknown, message: string): boolean {
  return (
    ownText(own(body, "details"), "name") !== undefined ||
    message.includes(JSON.stringify(name))
  );
}

/** The fields that a 422 rejects: `metadata.uid`. */
function fieldsOf(body: unknown, message: string): string[] {
  const causes = own(own(body, "details"), "causes");
  const fields: string[] = [];
  for (const cause of Array.isArray(causes) ? causes : []) {
    const field = ownText(cause, "field");
    if (field !== undefined) fields.push(field);
  }
  if (fields.length > 0) return fields;
  return /\bmetadata\.uid\b/.test(message) ? ["metadata.uid"] : [];
}

/** Parts of a secret from this length on are redacted. */
const recognizable = 12;

/** Characters of a message that are searched; far fewer are shown. */
const longest = 64 << 10;

/** The text without our credential, its parts, and anything that looks like a credential. */
function redact(text: string, { authorization = "" }: Credential): string {
  let shown = text.slice(0, longest);
  for (const secret of secretsOf(authorization))
    shown = withoutParts(shown, secret);
  return (
    shown
      .replaceAll(
        /\b([Bb]earer|[Bb]asic)[ :=]+(?=\S*[A-Z\d._-])[\w.~+/=-]+/g,
        "$1 …",
      )
      // The beginning of a JSON web token.
      .replaceAll(/\beyJ[\w-]{8,}[\w.-]*/g, "…")
  );
}

/** The secrets of a credential: the token; or the password, alone and as sent. */
function secretsOf(authorization: string): string[] {
  const [scheme = "", secret = ""] = authorization.split(" ");
  const secrets = [secret];
  if (scheme === "Basic") {
    const login = Buffer.from(secret, "base64").toString("utf8");
    secrets.push(login, login.slice(login.indexOf(":") + 1));
  }
  return secrets.flatMap((text) =>
    text === "" ? [] : [text, encodeURIComponent(text)],
  );
}

function withoutParts(text: string, secret: string): string {
  if (secret.length <= recognizable) return text.replaceAll(secret, "…");
  const parts = new Set<string>();
  for (let at = 0; at + recognizable <= secret.length; at++)
    parts.add(secret.slice(at, at + recognizable));
  let shown = "";
  for (let at = 0; at < text.length;) {
    let end = at;
    while (parts.has(text.slice(end, end + recognizable))) end++;
    if (end > at) {
      shown += "…";
      at = end - 1 + recognizable;
    } else shown += text[at++];
  }
  return shown;
}

/** Seconds or an HTTP date, in milliseconds from now. */
function retryAfterOf(
  header: string | undefined,
  now: Date,
): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header)
    ? Number(header) * 1000
    : Date.parse(header) - now.getTime();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
