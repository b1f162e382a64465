/**
 * Puts the API server further away: for each round trip time a port that forwards to
 * it with a delay. A process of its own, started with the server's port and the times
 * in milliseconds; its message has the ports in the same order.
 *
 * Each direction gets half of the time. The kernel completes the TCP handshake without
 * delay, so the first bytes of a connection wait for its round trip, too. (netem of the
 * kernel would do all of it, but few machines have it.)
 */
import { type Socket, connect, createServer } from "node:net";

const [target = 0, ...roundTrips] = process.argv.slice(2).map(Number);
const ports = await Promise.all(roundTrips.map(listen));
process.on("disconnect", () => process.exit());
process.send?.(ports);

async function listen(roundTripMs: number): Promise<number> {
  const there = Math.floor(roundTripMs / 2);
  const back = roundTripMs - there;
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    near.setNoDelay(true);
    far.setNoDelay(true);
    forward(near, far, there, roundTripMs);
    forward(far, near, back, 0);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("failed to listen on a port");
  return address.port;
}

/** Forwards data in order after a delay; the first data of a connection later still. */
function forward(
  from: Socket,
  to: Socket,
  delayMs: number,
  handshakeMs: number,
): void {
  // All that comes before the end of the handshake arrives right after it.
  const accepted = performance.now() + handshakeMs;
  const queue: (() => void)[] = [];
  const later = (action: () => void) => {
    const now = performance.now();
    queue.push(action);
    // Two timers of one moment may fire in any order; the bytes may not.
    setTimeout(
      () => queue.shift()?.(),
      Math.max(now, accepted) - now + delayMs,
    );
  };
  from.on("data", (chunk) => later(() => void to.write(chunk)));
  from.on("end", () => later(() => to.end()));
  from.on("close", () => later(() => to.destroy()));
  from.on("error", () => from.destroy());
}
