/**
 * The program in a pod: a web server that returns the pod's name. `bun web.ts <pod>`.
 */
import { mapping } from "./networks.ts";

export function answerOf(pod: string): string {
  return `hello from ${pod}`;
}

if (import.meta.main) {
  const pod = process.argv[2] ?? "";
  Bun.serve({
    port: mapping.containerPort,
    hostname: "0.0.0.0",
    fetch: () => new Response(answerOf(pod)),
  });
  console.log("listening");
}
