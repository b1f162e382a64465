// The program that does nothing: what Bun itself costs, the unit of the bench.
