// The program that does nothing: the cost of Bun itself, the unit of the bench.
