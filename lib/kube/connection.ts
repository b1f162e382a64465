/**
 * One connection to the API server over `Bun.connect`: TLS, requests one after
 * the other, responses in the same order (HTTP/1.1 pipelining, RFC 9112 §9.3.2).
 * It owns the proof of the server's identity: nothing is sent before it is given.
 *
 * Not `fetch`: that starts a thread and costs four times as much as the rest of
 * the call (docs/performance.md).
 */
import { errnoOf } from "../linux/errno.ts";
import type { Tls } from "./access.ts";
import {
  ResponseReader,
  type Complete,
  type HttpResponse,
} from "./http-response.ts";

export interface Address {
  hostname: string;
  port: number;
  /** Undefined for plain HTTP. */
  tls?: Tls & { cert?: string; key?: string };
}

/** The end of a connection before the response was complete. */
export class WireError extends Error {
  /** Bun's, or one of ours. */
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = "WireError";
    this.code = code;
  }
}

interface Exchange {
  reader: ResponseReader;
  /** Whether some of the response has come. */
  begun: boolean;
  /** Called once, with a response, or with the code of the connection's end. */
  settle(response: HttpResponse | undefined, code: string): void;
}

export class Connection {
  #socket: Bun.Socket | undefined;
  /** The server has shown who it is. */
  #trusted = false;
  #ended = false;
  /** Whether a response has come over it. */
  #used = false;
  /** In the order of the requests; the next response is the first one's. */
  readonly #exchanges: Exchange[] = [];
  /** Bytes that the socket has not taken yet. */
  readonly #unsent: Uint8Array[] = [];

  constructor({ hostname, port, tls }: Address) {
    const trust = (socket: Bun.Socket): void => {
      this.#socket = socket;
      this.#trusted = true;
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
        },
        // Bun has verified chain and name by now; that it says no ends nothing by itself.
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
        // Named, so that the promise need not be looked at.
        connectError: (_, error) => this.#end(errnoOf(error) ?? "ECONNREFUSED"),
      },
    }).catch((error: unknown) => this.#end(errnoOf(error) ?? "ECONNREFUSED"));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * The response; undefined when the server closed the connection after another
   * response and before this one, as it may: ask again elsewhere. Throws a `WireError`.
   */
  ask(
    request: Uint8Array,
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
        const unanswered =
          !exchange.begun && this.#used && code === "ECONNRESET";
        if (response || unanswered) resolve(response);
        else reject(new WireError(code));
      },
    };
    const abort = (): void => {
      this.#exchanges.splice(this.#exchanges.indexOf(exchange), 1);
      exchange.settle(undefined, "ABORT_ERR");
      // Its response may still come, and would be taken for the next one's.
      this.#end("ECONNRESET");
    };
    signal.addEventListener("abort", abort);
    this.#socket?.ref();
    this.#exchanges.push(exchange);
    this.#unsent.push(request);
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
        // The rest when the socket takes more; a closed one says so itself.
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
      // Nothing was asked, or the server has not shown who it is.
      if (!exchange || !this.#trusted) return this.#end("ECONNRESET");
      exchange.begun = true;
      let complete: Complete | undefined;
      try {
        complete = exchange.reader.push(rest);
      } catch (error) {
        return this.#end(errnoOf(error) ?? "ECONNRESET");
      }
      if (!complete) return;
      this.#answered(complete);
      rest = complete.rest;
    }
  }

  #answered({ response, reusable }: Complete): void {
    this.#used = true;
    this.#exchanges.shift()?.settle(response, "");
    if (!reusable) this.#end("ECONNRESET");
    // An idle connection keeps no program from ending.
    else if (this.#exchanges.length === 0) this.#socket?.unref();
  }

  #closed(): void {
    const complete = this.#exchanges[0]?.reader.close();
    if (complete) this.#answered(complete);
    this.#end("ECONNRESET");
  }

  /** Ends the connection and every exchange that has no response yet. */
  #end(code: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket?.terminate();
    for (const exchange of this.#exchanges.splice(0))
      exchange.settle(undefined, code);
  }
}
