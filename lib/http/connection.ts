/**
 * HTTP/1.1 over one persistent connection of `Bun.connect`, responses in the order of the
 * requests (pipelining, RFC 9112 §9.3.2). The server's identity is verified before
 * anything is sent.
 *
 * Not `fetch`: that starts a thread and costs four times as much as the rest of
 * the call (docs/performance.md).
 */
import { SystemError, errnoOf } from "../linux/errno.ts";
import {
  type Address,
  type HttpRequest,
  type HttpServer,
  addressOf,
  requestBytes,
} from "./http-request.ts";
import {
  type Complete,
  type HttpResponse,
  ResponseReader,
} from "./http-response.ts";
import { KeptSession } from "./tls-session.ts";

interface Exchange {
  reader: ResponseReader;
  /** Whether a part of the response has arrived. */
  begun: boolean;
  /** Called once, with a response or with the code of the connection's end. */
  settle(response: HttpResponse | undefined, code: string): void;
}

export class Connection {
  #socket: Bun.Socket | undefined;
  /** The server's identity is verified. */
  #trusted = false;
  #ended = false;
  /** Whether a response has arrived. */
  #used = false;
  /** In the order of the requests; the next response is for the first. */
  readonly #exchanges: Exchange[] = [];
  /** Bytes that the socket has not accepted yet. */
  readonly #unsent: Uint8Array[] = [];
  readonly #url: string;
  /** Undefined where TLS sessions are not kept. */
  readonly #session: KeptSession | undefined;
  /** Whether an earlier session was offered to the server. */
  #resuming = false;

  /** `sessionFile` is where TLS sessions are kept; absent: nowhere. */
  constructor(server: HttpServer, sessionFile?: string) {
    this.#url = server.url;
    const address = addressOf(server);
    if (address.tls && sessionFile !== undefined) {
      // Everything that decides whom the connection trusts, and as whom it is known.
      const { key: _key, ...known } = address.tls;
      const { hostname, port } = address;
      const identity = JSON.stringify([hostname, port, known]);
      this.#session = new KeptSession(sessionFile, identity);
    }
    this.#connect(address);
  }

  #connect({ hostname, port, tls }: Address): void {
    const trust = (socket: Bun.Socket): void => {
      this.#socket = socket;
      this.#trusted = true;
      this.#resuming = false;
      this.#flush();
    };
    Bun.connect({
      hostname,
      port,
      ...(tls && { tls }),
      socket: {
        // A Buffer costs 0.4 ms at its first use.
        binaryType: "uint8array",
        open: (socket) => {
          this.#socket = socket;
          if (this.#ended) socket.terminate();
          else if (!tls) trust(socket);
          else this.#resuming = this.#session?.resume(socket) ?? false;
        },
        // Bun has verified chain and name, but it does not close the
        // connection if they are invalid.
        handshake: (socket, trusted, problem) => {
          const accepted =
            problem === null || tls?.rejectUnauthorized === false;
          if (trusted && accepted) trust(socket);
          else this.#end(errnoOf(problem) ?? "EPROTO");
        },
        data: (_, bytes) => this.#receive(bytes),
        drain: () => this.#flush(),
        error: (_, error) => this.#end(errnoOf(error) ?? "ECONNRESET"),
        close: () => this.#closed(),
        // A named callback: nothing has to await the promise.
        connectError: (_, error) => this.#end(errnoOf(error) ?? "ECONNREFUSED"),
      },
    }).catch((error: unknown) => this.#end(errnoOf(error) ?? "ECONNREFUSED"));
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /**
   * The response; undefined if the server closed the connection between two
   * responses, as it may, or if the handshake with an earlier session failed: send the
   * request over another connection. Throws a SystemError with Bun's code or
   * one of ours.
   */
  send(
    request: HttpRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<HttpResponse | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<
      HttpResponse | undefined
    >();
    const exchange: Exchange = {
      reader: new ResponseReader(),
      begun: false,
      settle: (response, code) => {
        signal.removeEventListener("abort", abort);
        const isIdleEnd =
          !exchange.begun && this.#used && code === "ECONNRESET";
        const isResumption = this.#resuming && code !== "ABORT_ERR";
        if (response || isIdleEnd || isResumption) resolve(response);
        else reject(new SystemError(code));
      },
    };
    const abort = (): void => {
      exchange.settle(undefined, "ABORT_ERR");
      // Its response may still arrive and would be taken for the next one.
      this.#end("ECONNRESET");
    };
    signal.addEventListener("abort", abort);
    this.#socket?.ref();
    this.#exchanges.push(exchange);
    this.#unsent.push(requestBytes(request, this.#url, authorization));
    if (signal.aborted) abort();
    else this.#flush();
    return promise;
  }

  #flush(): void {
    for (;;) {
      const [bytes] = this.#unsent;
      if (!bytes || !this.#trusted) return;
      const sent = this.#socket?.write(bytes) ?? 0;
      if (sent < bytes.byteLength) {
        // The rest follows when the socket accepts more; a closed socket
        // reports itself.
        if (sent > 0) this.#unsent[0] = bytes.subarray(sent);
        return;
      }
      this.#unsent.shift();
    }
  }

  #receive(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.byteLength > 0 && !this.#ended) {
      const [exchange] = this.#exchanges;
      // No request yet, or the server is not verified.
      if (!exchange || !this.#trusted) return this.#end("ECONNRESET");
      exchange.begun = true;
      let complete: Complete | undefined;
      try {
        complete = exchange.reader.push(rest);
      } catch (error) {
        return this.#end(errnoOf(error) ?? "ECONNRESET");
      }
      if (!complete) return;
      this.#complete(complete);
      rest = complete.rest;
    }
  }

  #complete({ response, reusable }: Complete): void {
    // A server sends its tickets before the first response.
    if (!this.#used && this.#socket) this.#session?.keep(this.#socket);
    this.#used = true;
    this.#exchanges.shift()?.settle(response, "");
    if (!reusable) this.#end("ECONNRESET");
    // An idle connection does not keep the process alive.
    else if (this.#exchanges.length === 0) this.#socket?.unref();
  }

  #closed(): void {
    const complete = this.#exchanges[0]?.reader.close();
    if (complete) this.#complete(complete);
    this.#end("ECONNRESET");
  }

  /** Closes the connection and fails every pending exchange. */
  #end(code: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket?.terminate();
    // Else it could fail every pod until it is too old.
    if (this.#resuming) this.#session?.forget();
    for (const exchange of this.#exchanges.splice(0))
      exchange.settle(undefined, code);
  }
}
