/** `--metrics`: /metrics and /readyz over HTTP. */
import { messageOf } from "../../linux/errno.ts";
import { agentMetricsText } from "./metrics.ts";
import type { Agent, Part } from "../part.ts";
import { repeat, shared } from "../timing.ts";

/** Milliseconds between two looks at the length of the log. */
const keepMs = 10_000;

/**
 * Milliseconds for which scrapes share a text, which reads every record: a client of the
 * port must not keep the agent busy.
 */
const textMs = 1000;

interface Address {
  hostname: string;
  port: number;
}

export function metricsServer(at: Address): Part {
  return {
    name: "metrics",
    synced: (agent) => agent.pods().state() === "current",
    async run(agent, signal) {
      const text = shared(textMs, () => agentMetricsText(agent));
      using server = listen(at, (request) => respond(request, agent, text));
      agent.log("info", "serving metrics", { url: server.url.href });
      await repeat(keepMs, signal, () => agent.calls().keep());
    },
  };
}

/** Throws Error, which names the address: the agent logs it and tries again. */
function listen(
  at: Address,
  fetch: (request: Request) => Response | Promise<Response>,
) {
  try {
    return Bun.serve({
      ...at,
      development: false,
      fetch,
      error: (error) => new Response(`${messageOf(error)}\n`, { status: 500 }),
    });
  } catch (cause) {
    const { hostname, port } = at;
    throw new Error(
      `failed to listen at "${hostname}", port ${port}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

async function respond(
  request: Request,
  agent: Agent,
  text: () => Promise<string>,
): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response("method not allowed\n", { status: 405 });
  if (pathname === "/readyz")
    return agent.synced()
      ? new Response("ok\n")
      : new Response("not in sync\n", { status: 503 });
  if (pathname !== "/metrics")
    return new Response("have /metrics and /readyz\n", { status: 404 });
  return new Response(await text(), {
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
  });
}
