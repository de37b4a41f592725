/*
 * Feeds LLVMFuzzerTestOneInput with a fixed sequence of random inputs, where libFuzzer is not at hand. Bytes are zero
 * more often than not, so that most of a structure is what it should be.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Marsaglia's xorshift64. */
static uint64_t next(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

int main(int argc, char **argv)
{
	const long runs = argc > 1 ? atol(argv[1]) : 1000;
	uint8_t data[256];
	long run;

	for (run = 0; run < runs; run++) {
		const size_t size = next() % sizeof(data);
		size_t i;

		for (i = 0; i < size; i++)
			data[i] = next() & 3 ? (uint8_t)next() & (uint8_t)next() : 0;
		LLVMFuzzerTestOneInput(data, size);
	}
	return 0;
}
